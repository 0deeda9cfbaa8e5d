package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/appservice"
	"github.com/credsmith/credsmith/internal/sink/azuredevops"
	"github.com/credsmith/credsmith/internal/sink/exec"
	"github.com/credsmith/credsmith/internal/sink/file"
	"github.com/credsmith/credsmith/internal/sink/github"
	"github.com/credsmith/credsmith/internal/sink/gitlab"
	"github.com/credsmith/credsmith/internal/sink/keyvault"
	"github.com/credsmith/credsmith/internal/sink/kubernetes"
	"github.com/credsmith/credsmith/internal/sink/vault"
)

// sink makes the adapter of a place that the configuration names. What is in
// Azure is written as the tenant's operator.
func (r *rotations) sink(s config.Sink, operator azcore.TokenCredential) (sink.Sink, error) {
	build := r.sinkOf(s.Kind, operator)
	if build == nil {
		return nil, usage("docs/sinks.md lists the sinks", "%w", config.Unknown(s.At, "sink", s.Kind, sinkKinds()))
	}
	built, err := build(s)
	if _, badKeys := errors.AsType[config.Errors](err); badKeys {
		return nil, usage("docs/sinks.md says what the sink takes", "%w", err)
	}
	if err != nil {
		return nil, usage("docs/sinks.md says what the sink takes", "%s: the sink %s: %w", s.At, s.Kind, err)
	}
	return built, nil
}

func sinkKinds() []string {
	kinds := []string{"appservice", "azuredevops", "exec", "github", "gitlab", "keyvault", "kubernetes", "vault"}
	for _, f := range file.Formats() {
		kinds = append(kinds, string(f))
	}
	slices.Sort(kinds)
	return kinds
}

// sinkOf returns what makes sinks of a kind, nil for a kind that is unknown.
func (r *rotations) sinkOf(kind string, operator azcore.TokenCredential) func(config.Sink) (sink.Sink, error) {
	switch kind {
	case "appservice":
		return decoded(func(c appservice.Config) (sink.Sink, error) { return appservice.New(c, operator, r.http) })
	case "azuredevops":
		var pat tokenFunc
		if r.get("AZURE_DEVOPS_EXT_PAT") != "" {
			pat = r.tokenIn("AZURE_DEVOPS_EXT_PAT")
		}
		return withToken(pat, func(c azuredevops.Config, token tokenFunc) (sink.Sink, error) {
			if token == nil {
				return azuredevops.New(c, azuredevops.AsOperator(operator), r.http)
			}
			return azuredevops.New(c, azuredevops.AsPerson(token), r.http)
		})
	case "exec":
		return decoded(exec.New)
	case "github":
		return withToken(r.tokenIn("GH_TOKEN", "GITHUB_TOKEN"), func(c github.Config, token tokenFunc) (sink.Sink, error) {
			return github.New(c, github.TokenFunc(token), r.http)
		})
	case "gitlab":
		return withToken(r.tokenIn("GITLAB_TOKEN"), func(c gitlab.Config, token tokenFunc) (sink.Sink, error) {
			return gitlab.New(c, gitlab.TokenFunc(token), r.http)
		})
	case "keyvault":
		return decoded(func(c keyvault.Config) (sink.Sink, error) { return keyvault.New(c, operator, r.http) })
	case "vault":
		return decoded(func(c vault.Config) (sink.Sink, error) { return vault.New(c, r.vaultToken, r.http) })
	case "kubernetes":
		return decoded(func(c kubernetes.Config) (sink.Sink, error) {
			cluster, err := kubernetes.Connect(c.Context)
			if err != nil {
				return nil, err
			}
			return kubernetes.New(c, cluster)
		})
	}
	if format := file.Format(kind); slices.Contains(file.Formats(), format) {
		return decoded(func(c file.Config) (sink.Sink, error) { return file.New(format, c) })
	}
	return nil
}

// decoded reads a sink's keys before it is made.
func decoded[Config any](build func(Config) (sink.Sink, error)) func(config.Sink) (sink.Sink, error) {
	return func(s config.Sink) (sink.Sink, error) {
		var c Config
		if err := s.Decode(&c); err != nil {
			return nil, err
		}
		return build(c)
	}
}

type tokenFunc = func(context.Context) (secret.Value, error)

// withToken is decoded for a sink with a token of its own; usual is where the
// token comes from if the sink names no other place.
func withToken[Config any](usual tokenFunc, build func(Config, tokenFunc) (sink.Sink, error)) func(config.Sink) (sink.Sink, error) {
	return func(s config.Sink) (sink.Sink, error) {
		from := usual
		named, err := s.Token()
		if err != nil {
			return nil, err
		}
		if !named.IsZero() {
			from = func(context.Context) (secret.Value, error) {
				token, err := named.Resolve()
				if err != nil {
					return secret.Value{}, err
				}
				return sendable(named.String(), token.Reveal())
			}
		}
		return decoded(func(c Config) (sink.Sink, error) { return build(c, from) })(s)
	}
}

// tokenIn takes a token from the first environment variable that is set, as
// the service's own command line does.
func (r *rotations) tokenIn(names ...string) tokenFunc {
	return func(context.Context) (secret.Value, error) {
		for _, name := range names {
			if token := r.get(name); token != "" {
				return sendable(name, token)
			}
		}
		return secret.Value{}, fmt.Errorf("%s is not set", names[0])
	}
}

// sendable is a token without the line break of the file that it came from.
func sendable(from, token string) (secret.Value, error) {
	token = strings.TrimSpace(token)
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return secret.Value{}, fmt.Errorf("%s is empty, or holds a blank, a line break or a letter that is in no token", from)
	}
	return secret.New(token), nil
}

// vaultToken is where Vault's own command line finds its token: VAULT_TOKEN, or
// ~/.vault-token, which agents renew.
func (r *rotations) vaultToken(context.Context) (secret.Value, error) {
	if token := r.get("VAULT_TOKEN"); token != "" {
		return secret.New(token), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return secret.Value{}, fmt.Errorf("VAULT_TOKEN is not set: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(home, ".vault-token"))
	if err != nil {
		return secret.Value{}, fmt.Errorf("VAULT_TOKEN is not set: %w", err)
	}
	return secret.New(strings.TrimSpace(string(text))), nil
}
