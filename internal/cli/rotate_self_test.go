package cli_test

import (
	"strings"
	"testing"
)

// TestRotateSelf: what credsmith signs in with is rotated where that is said,
// by a run that never signs in with the old secret once the new one is proven.
func TestRotateSelf(t *testing.T) {
	t.Parallel()
	r := newRotateRig(t)
	id, value := r.env["CREDSMITH_OPERATOR_CLIENT_ID"], r.env["CREDSMITH_OPERATOR_CLIENT_SECRET"]
	r.yaml = strings.Replace(r.yaml, "app: "+r.env["AZURE_CLIENT_ID"], "app: "+id, 1)
	r.write("app.env", "AZURE_CLIENT_SECRET="+value+"\n")
	if code, out, _ := r.run(nil, "rotate", "plan"); code != 1 || !strings.Contains(out, "it is rotated only where that is said (--self)") {
		t.Error(code, out)
	}
	if code, out, errs := r.run(nil, "rotate", "plan", "--self"); code != 0 || !strings.Contains(out, "sign in as the operator with the new secret, and see that it may still Application.ReadWrite.All") {
		t.Error(code, out, errs)
	}
	if code, _, errs := r.run(nil, "rotate", "run", "--self", "--yes", "--wait", "10s"); code != 0 {
		t.Fatal(code, errs)
	}
	if code, out, errs := r.run(nil, "rotate", "retire", "--yes", "--wait", "10s"); code != 0 || !strings.Contains(out, "gone") {
		t.Fatal(code, out, errs)
	}
	// The configuration still names the old value: nobody can sign in with it.
	if code, _, errs := r.run(nil, "rotate", "plan", "--self"); code != 3 {
		t.Error(code, errs)
	}
}
