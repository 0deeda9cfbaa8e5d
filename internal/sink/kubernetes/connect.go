package kubernetes

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/credsmith/credsmith/internal/wire"
)

// Connect returns the cluster of a context of the kubeconfig, which is found
// and read as kubectl does; of the current one if the name is empty. Without
// any kubeconfig it is the cluster that credsmith runs in.
func Connect(name string) (Cluster, error) {
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{CurrentContext: name})
	c, err := loader.ClientConfig()
	if err != nil {
		return Cluster{}, fmt.Errorf("context: %q: %s", name, strings.Join(strings.Fields(err.Error()), " "))
	}
	if c.Insecure {
		return Cluster{}, fmt.Errorf("context: %q: the kubeconfig says insecure-skip-tls-verify, which would show the secret to whoever answers: name the cluster's certificate-authority instead", name)
	}
	transport, err := rest.TransportFor(c)
	if err != nil {
		return Cluster{}, fmt.Errorf("context: %q: %w", name, err)
	}
	origin, _, err := rest.DefaultServerUrlFor(c)
	if err != nil || origin.Scheme != "https" {
		return Cluster{}, errors.New("context: the cluster's address is not https")
	}
	return Cluster{Origin: strings.TrimRight(origin.String(), "/"), Client: wire.Wrap(transport)}, nil
}
