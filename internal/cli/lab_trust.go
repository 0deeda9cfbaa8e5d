package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// trustWays is how each ecosystem is told to trust a CA, {ca} being its file.
// What replaces the system's certificates and what adds to them differs.
var trustWays = []struct{ name, how, note string }{
	{"Go", "export SSL_CERT_FILE={ca}", "replaces the system's certificates (Linux; on macOS and Windows add the CA to a tls.Config)"},
	{"Node.js", "export NODE_EXTRA_CA_CERTS={ca}", "adds to the built-in ones"},
	{"Python", "export REQUESTS_CA_BUNDLE={ca}", "replaces them, also for the Azure CLI; httpx and urllib read SSL_CERT_FILE"},
	{"Java", "keytool -importcert -noprompt -alias credsmith-lab -file {ca} -keystore lab.p12 -storetype PKCS12 -storepass changeit", "then -Djavax.net.ssl.trustStore=lab.p12 -Djavax.net.ssl.trustStorePassword=changeit, which replaces them"},
	{".NET", "export SSL_CERT_FILE={ca}", "on Linux; on Windows: Import-Certificate -FilePath {ca} -CertStoreLocation Cert:\\CurrentUser\\Root, and remove it afterwards"},
	{"curl", "curl --cacert {ca} ...", "or export CURL_CA_BUNDLE={ca}"},
}

func (p *program) labTrust() *cobra.Command {
	return &cobra.Command{
		Use:   "trust ENV-FILE",
		Short: "Say how clients trust the lab's CA",
		Long: `Prints how Go, Node.js, Python, Java, .NET and curl are told to trust the CA of
the lab whose env file is given. It changes nothing.`,
		Example: "credsmith lab trust lab.env",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			pairs, err := p.readEnvFile(args[0])
			if err != nil {
				return err
			}
			ca := ""
			for _, pair := range pairs {
				if pair.name == "SSL_CERT_FILE" {
					ca = pair.value
				}
			}
			if ca == "" {
				return usage("give the file that credsmith lab --env-file wrote", "%s names no SSL_CERT_FILE", args[0])
			}
			return p.showTrust(ca)
		},
	}
}

func (p *program) showTrust(ca string) error {
	type way struct {
		Name string `json:"name"`
		Run  string `json:"run"`
		Note string `json:"note"`
	}
	ways := make([]way, len(trustWays))
	for i, w := range trustWays {
		ways[i] = way{w.name, strings.ReplaceAll(w.how, "{ca}", ca), strings.ReplaceAll(w.note, "{ca}", ca)}
	}
	if p.json {
		return p.writeJSON(map[string]any{"ca_file": ca, "ways": ways})
	}
	page := p.page()
	for _, w := range ways {
		page.line("%s %s\n%11s%s", page.bold(fmt.Sprintf("%-10s", w.Name)), clean(w.Run), "", page.faint(clean(w.Note)))
	}
	return nil
}
