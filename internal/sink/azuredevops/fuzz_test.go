package azuredevops_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/azuredevops"
	"github.com/credsmith/credsmith/internal/sink/sinktest"
	"github.com/credsmith/credsmith/internal/wire"
)

// taker answers every write as Azure DevOps does, without looking at it.
var taker = sinktest.Handler{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"id":7}`))
})}

// FuzzAnswer lets any group or connection be read, or any answer come to a
// write. Nothing panics, and every error is a refusal that holds neither the
// value nor the token, and no wait that never ends.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"id":7,"type":"Vsts","name":"g","variables":{"A":{"value":null,"isSecret":true}},"variableGroupProjectReferences":[]}`,
		`{"id":7,"type":"Vsts","variables":null}`, `{"id":7,"type":"Vsts","variables":{"azure_client_secret":"x"}}`, `{"id":7,"type":"AzureKeyVault"}`,
		`{"id":"e","authorization":{"scheme":"ServicePrincipal","parameters":{"serviceprincipalid":"` + clientID + `","serviceprincipalkey":null}}}`,
		`{"id":"e","authorization":{"scheme":"WorkloadIdentityFederation","parameters":{}}}`, `{"id":null}`, "null", "[]", "<html>", "", value,
	} {
		for _, status := range []uint16{200, 203, 302, 401, 404, 409, 429} {
			f.Add(status, "9223372036854775807", body, true, true)
			f.Add(status, "-1", body, false, true)
			f.Add(status, "17", body, true, false)
		}
	}
	f.Fuzz(func(t *testing.T, status uint16, wait, body string, ofGroup, reading bool) {
		c, method, to := endpoint, http.MethodPut, sinktest.Handler{Handler: newServer(t)}
		if ofGroup {
			c = group
		}
		if reading {
			method, to = http.MethodGet, taker
		}
		a := &sinktest.Answer{Else: to, Method: method, Status: int(status), Body: body, Header: http.Header{"Retry-After": {wait}, "Content-Type": {"application/json"}}}
		s, err := azuredevops.New(c, azuredevops.AsPerson(give(pat)), wire.Wrap(a))
		if err != nil {
			t.Fatal(err)
		}
		err = write(t, s)
		if err == nil && status != http.StatusOK {
			t.Fatalf("HTTP %d to %s: the write passed", status, method)
		}
		for _, err := range []error{err, s.Check(t.Context())} {
			if err == nil {
				continue
			}
			e, ok := errors.AsType[*sink.Error](err)
			if !ok || e.After < 0 || e.After > 24*time.Hour {
				t.Fatalf("%T %v after %v", err, err, e.After)
			}
			if strings.Contains(err.Error(), value) || strings.Contains(err.Error(), pat) {
				t.Fatalf("it gives away: %v", err)
			}
		}
	})
}
