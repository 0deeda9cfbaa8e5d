package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// maxLabAnswer bounds what is read from a lab, or from a file for one.
const maxLabAnswer = 1 << 30

func (p *program) labExport() *cobra.Command {
	var control string
	cmd := &cobra.Command{
		Use:   "export FILE|-",
		Short: "Write a running lab's tenants to a file",
		Long: `Writes all tenants of a running lab as JSON, with mode 0600: users, apps,
policies, audit logs, clock and delay. Secrets are in it as salted hashes, not
as values. History and private keys are not in it.

` + exitCodes,
		Example: "credsmith lab export tenants.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := p.callLab(cmd.Context(), control, http.MethodGet, "/control/export", nil)
			if err != nil {
				return err
			}
			if args[0] == "-" {
				_, err = p.Stdout.Write(doc)
				return err
			}
			if err := writeFile(args[0], string(doc)); err != nil {
				return usage("name a file in a directory that can be written", "write %s: %w", args[0], err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&control, "control", "", "the lab's control address (default $CREDSMITH_LAB_CONTROL)")
	return cmd
}

func (p *program) labImport() *cobra.Command {
	var control string
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Replace a running lab's tenants by exported ones",
		Long: `Replaces all tenants, the clock and the delay of a running lab by what export
wrote. Secrets go on working with their values, which only the one who minted
them has. A file that is refused changes nothing.

` + exitCodes,
		Example: "credsmith lab import tenants.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := p.Stdin
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return usage("give a file that credsmith lab export wrote", "read the tenants: %w", err)
				}
				defer file.Close()
				in = file
			}
			doc, err := io.ReadAll(io.LimitReader(in, maxLabAnswer))
			if err != nil {
				return usage("give a file that credsmith lab export wrote", "read the tenants: %w", err)
			}
			_, err = p.callLab(cmd.Context(), control, http.MethodPost, "/control/import", doc)
			return err
		},
	}
	cmd.Flags().StringVar(&control, "control", "", "the lab's control address (default $CREDSMITH_LAB_CONTROL)")
	return cmd
}

// callLab calls a running lab's control origin.
func (p *program) callLab(ctx context.Context, control, method, path string, body []byte) ([]byte, error) {
	if control == "" {
		control, _ = p.LookupEnv("CREDSMITH_LAB_CONTROL")
	}
	if control == "" {
		return nil, usage("read the lab's env file, or give --control", "no lab is named: %w", errors.New("CREDSMITH_LAB_CONTROL is not set"))
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(control, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, usage("give the address that the lab printed", "the lab's control address: %w", err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // on loopback: no proxy
	response, err := client.Do(request)
	if err != nil {
		return nil, usage("start the lab, or give --control", "call the lab: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxLabAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the lab's answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return nil, usage("", "the lab refused: %w", errors.New(strings.TrimSpace(string(answer[:min(len(answer), 1000)]))))
	}
	return answer, nil
}
