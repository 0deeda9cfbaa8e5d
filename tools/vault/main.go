// Command vault is a HashiCorp Vault server in memory, unsealed, with a KV
// engine, version 2, at secret/, for the tests of the Vault sink: make
// test-vault builds it. It prints its address and its root token as JSON, and
// serves until it is stopped. Core and HTTP handler are HashiCorp's, unchanged;
// what `vault server -dev` sets up around them is set up here, without the
// plugins for a hundred databases and clouds.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/logging"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	core, root, err := unsealed(ctx)
	if err != nil {
		return err
	}
	defer core.Shutdown()
	mount := &logical.Request{
		Operation: logical.UpdateOperation, Path: "sys/mounts/secret", ClientToken: root,
		Data: map[string]any{"type": "kv", "options": map[string]any{"version": "2"}},
	}
	if resp, err := core.HandleRequest(namespace.RootContext(ctx), mount); err != nil || resp.IsError() {
		return fmt.Errorf("mount secret/: %v, %w", resp, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	props := &vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}}
	server := &http.Server{Handler: vaulthttp.Handler.Handler(props)}
	context.AfterFunc(ctx, func() { server.Close() })
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{"address": "http://" + listener.Addr().String(), "token": root})
	if err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func unsealed(ctx context.Context) (*vault.Core, string, error) {
	quiet := logging.NewVaultLogger(hclog.Error)
	storage, err := inmem.NewInmem(nil, quiet)
	if err != nil {
		return nil, "", err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, DisableMlock: true, Logger: quiet, EnableUI: false,
		LogicalBackends: map[string]logical.Factory{"kv": kv.Factory}, BuiltinRegistry: registry{},
	})
	if err != nil {
		return nil, "", err
	}
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	keys, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: one, RecoveryConfig: one})
	if err != nil {
		return nil, "", err
	}
	if open, err := core.Unseal(keys.SecretShares[0]); err != nil || !open {
		return nil, "", fmt.Errorf("unseal: %v, %w", open, err)
	}
	return core, keys.RootToken, nil
}

// registry knows the KV engine only.
type registry struct{}

func (registry) Contains(name string, kind consts.PluginType) bool {
	return name == "kv" && kind == consts.PluginTypeSecrets
}

func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	return func() (any, error) { return logical.Factory(kv.Factory), nil }, r.Contains(name, kind)
}

func (r registry) Keys(kind consts.PluginType) []string {
	if r.Contains("kv", kind) {
		return []string{"kv"}
	}
	return nil
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
