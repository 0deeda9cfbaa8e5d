package kubernetes

import (
	"encoding/json"
	"strings"
)

type owner struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Controller bool   `json:"controller"`
}

// managedField says which of an object's fields a writer owns.
type managedField struct {
	Manager string          `json:"manager"`
	Fields  json.RawMessage `json:"fieldsV1"`
}

// managedBy names the tool that would undo a write to the key. The names that
// tools leave are recalled, unverified.
func (o *object) managedBy(key string) string {
	m := o.Metadata
	for _, owner := range m.Owners {
		switch {
		case !owner.Controller:
		case owner.Kind == "ExternalSecret":
			return "External Secrets ExternalSecret/" + owner.Name
		case owner.Kind == "SealedSecret":
			return "Sealed Secrets SealedSecret/" + owner.Name
		default:
			return owner.Kind + "/" + owner.Name
		}
	}
	if m.Labels["reconcile.external-secrets.io/managed"] == "true" {
		return "External Secrets"
	}
	if m.Labels["app.kubernetes.io/managed-by"] == "hashicorp-vso" {
		return "Vault Secrets Operator"
	}
	// Helm, Argo CD and Flux put back what their manifests hold, and leave
	// other keys alone.
	for _, field := range m.Fields {
		var owned struct {
			Data map[string]json.RawMessage `json:"f:data"`
		}
		_ = json.Unmarshal(field.Fields, &owned)
		if _, ok := owned.Data["f:"+key]; !ok {
			continue
		}
		switch {
		case field.Manager == "helm":
			return "Helm release/" + m.Annotations["meta.helm.sh/release-name"]
		case strings.HasPrefix(field.Manager, "argocd"):
			return o.argo()
		case field.Manager == "kustomize-controller", field.Manager == "helm-controller":
			return "Flux " + field.Manager
		}
	}
	var applied struct {
		Data       map[string]json.RawMessage `json:"data"`
		StringData map[string]json.RawMessage `json:"stringData"`
	}
	_ = json.Unmarshal([]byte(m.Annotations["kubectl.kubernetes.io/last-applied-configuration"]), &applied)
	_, data := applied.Data[key]
	_, text := applied.StringData[key]
	if (data || text) && m.Annotations["argocd.argoproj.io/tracking-id"] != "" {
		return o.argo()
	}
	return ""
}

// argo names the application, which the tracking id begins with.
func (o *object) argo() string {
	app, _, _ := strings.Cut(o.Metadata.Annotations["argocd.argoproj.io/tracking-id"], ":")
	return strings.TrimSuffix("Argo CD Application/"+app, "/")
}
