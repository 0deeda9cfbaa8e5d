package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/credsmith/credsmith/internal/sink"
)

// workload is what to restart.
type workload struct{ resource, name string } // "deployments", "billing"

func parseWorkload(text string) (workload, bool) {
	kind, name, ok := strings.Cut(text, "/")
	switch kind {
	case "deployment", "statefulset", "daemonset":
		return workload{kind + "s", name}, ok
	}
	return workload{}, false
}

// rollout is a workload's spec and how far its pods are.
type rollout struct {
	Metadata struct {
		Generation int64 `json:"generation"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int `json:"replicas"`
		Paused   bool `json:"paused"`
		Template struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		} `json:"template"`
		UpdateStrategy struct {
			Type          string `json:"type"`
			RollingUpdate struct {
				Partition int `json:"partition"`
			} `json:"rollingUpdate"`
		} `json:"updateStrategy"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration int64 `json:"observedGeneration"`
		Replicas           int   `json:"replicas"`
		UpdatedReplicas    int   `json:"updatedReplicas"`
		AvailableReplicas  int   `json:"availableReplicas"`
		// Of a DaemonSet, which counts nodes.
		Desired   int `json:"desiredNumberScheduled"`
		Updated   int `json:"updatedNumberScheduled"`
		Available int `json:"numberAvailable"`

		Conditions []struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
		} `json:"conditions"`
	} `json:"status"`
}

// Reload restarts the workloads, as kubectl rollout restart does: a pod
// template that names the rotation already does not change by it.
func (s *Sink) Reload(ctx context.Context, rotation string) error {
	if err := ctx.Err(); err != nil {
		return &sink.Error{Op: s.op("reload the readers of"), Kind: sink.Unreachable, Err: context.Cause(ctx)}
	}
	for _, w := range s.workloads {
		if err := s.patch(ctx, s.opOf("restart", w), s.pathOf(w), false, map[string]any{"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"annotations": map[string]string{rotationAnnotation: rotation}},
		}}}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Reloaded reports whether all pods of the workloads are of the rotation's
// making, available, and the ones before gone. A restart that cannot end by
// itself is an error.
func (s *Sink) Reloaded(ctx context.Context, rotation string) (bool, error) {
	for _, w := range s.workloads {
		op := s.opOf("watch the restart of", w)
		resp, err := s.send(ctx, op, http.MethodGet, s.pathOf(w), nil)
		if err != nil {
			return false, err
		}
		var r rollout
		if err := s.decode(op, resp, &r); err != nil {
			return false, err
		}
		if r.Spec.Template.Metadata.Annotations[rotationAnnotation] != rotation {
			return false, nil
		}
		if r.done(w) {
			continue
		}
		if e := r.stuck(w); e != nil {
			e.Op = op
			return false, e
		}
		return false, nil
	}
	return true, nil
}

// done follows kubectl rollout status.
func (r *rollout) done(w workload) bool {
	st := r.Status
	if r.Metadata.Generation == 0 || st.ObservedGeneration < r.Metadata.Generation {
		return false
	}
	if w.resource == "daemonsets" {
		return st.Updated >= st.Desired && st.Available >= st.Desired && r.Spec.UpdateStrategy.Type != "OnDelete"
	}
	want := 1
	if r.Spec.Replicas != nil {
		want = *r.Spec.Replicas
	}
	return st.UpdatedReplicas >= want && st.Replicas <= st.UpdatedReplicas && st.AvailableReplicas >= st.UpdatedReplicas
}

// stuck tells why a restart does not end, or nil.
func (r *rollout) stuck(w workload) *sink.Error {
	refuse := func(kind sink.Kind, why, next string) *sink.Error {
		return &sink.Error{Kind: kind, Err: errors.New(why), Next: next}
	}
	switch {
	case r.Spec.Paused:
		return refuse(sink.Invalid, "its roll-out is paused", "kubectl rollout resume "+w.String())
	case r.Spec.UpdateStrategy.Type == "OnDelete":
		return refuse(sink.Invalid, "its pods are replaced only when somebody deletes them (updateStrategy OnDelete)", "delete them one by one")
	case r.Spec.UpdateStrategy.RollingUpdate.Partition > 0:
		return refuse(sink.Invalid, "its roll-out stops at a partition", "set updateStrategy.rollingUpdate.partition to 0")
	}
	for _, c := range r.Status.Conditions {
		if c.Type == "Progressing" && c.Reason == "ProgressDeadlineExceeded" {
			return refuse(sink.Unreachable, "the new pods do not become available; the old ones go on with the old secret", "kubectl describe "+w.String())
		}
	}
	return nil
}

func (w workload) String() string { return strings.TrimSuffix(w.resource, "s") + "/" + w.name }

func (s *Sink) pathOf(w workload) string {
	return "/apis/apps/v1/namespaces/" + s.c.Namespace + "/" + w.resource + "/" + w.name
}

func (s *Sink) opOf(verb string, w workload) string {
	return fmt.Sprintf("%s %s in the namespace %s%s", verb, w, s.c.Namespace, s.where())
}
