package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
	"github.com/credsmith/credsmith/internal/settingtest"
)

// BenchmarkFrom diagnoses 10,000 settings of 2,500 apps, written in every kind
// of file, against a lab: two copies that work, one with a line end too many or
// in quotes, and one of a secret that has ended, for each app. What may be
// proven is proven, within 12 requests a setting.
func BenchmarkFrom(b *testing.B) {
	const apps = 2500
	dir := b.TempDir()
	program := filepath.Join(dir, "credsmith")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	lab, err := entralab.Start(b.Context(), entralab.Config{RandomSeed: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer lab.Close()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, lab.CAPEM(), 0o600); err != nil {
		b.Fatal(err)
	}
	tree := filepath.Join(dir, "tree")
	causes := writeSettings(b, lab, tree, apps)
	for b.Loop() {
		before := len(lab.History(0))
		var stdout, stderr bytes.Buffer
		cmd := exec.Command(program, "doctor", "--from", tree, "--fast", "-o", "json")
		cmd.Env = []string{"HOME=" + dir, "XDG_STATE_HOME=" + dir, "SSL_CERT_FILE=" + ca, "AZURE_AUTHORITY_HOST=" + lab.AuthorityURL()}
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		began := time.Now()
		_ = cmd.Run() // it exits 1: settings are broken
		took := time.Since(began)
		var reports []struct {
			Verdict, Cause, Confidence string
			Setting                    struct{ Origin string }
		}
		if err := json.Unmarshal(stdout.Bytes(), &reports); err != nil {
			b.Fatalf("%v\n%.2000s", err, stderr.String())
		}
		got, wrong := map[string]int{}, 0
		for _, r := range reports {
			name := r.Cause
			if r.Verdict == "working" {
				name = "works"
			}
			got[name]++
			if r.Confidence == "confirmed" && causes[name] == 0 {
				wrong++
			}
		}
		if len(reports) != 4*apps || wrong > 0 || got["works"] != causes["works"] {
			b.Fatalf("%d reports: %v, want %v; %d wrongly confirmed\n%.2000s", len(reports), got, causes, wrong, stderr.String())
		}
		tokens, most := map[string]int{}, 0
		for _, e := range lab.History(before) {
			if e.Surface == "token" && e.Method == "POST" {
				tokens[e.AppID]++
				most = max(most, tokens[e.AppID])
			}
		}
		total := 0
		for _, n := range tokens {
			total += n
		}
		b.ReportMetric(took.Seconds(), "wall-s")
		b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s")
		b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "resident-MiB")
		b.ReportMetric(float64(total), "token-requests")
		b.ReportMetric(float64(most), "most-for-an-app")
		b.Logf("%v of %d", got, len(reports))
	}
}

// writeSettings writes four settings for each app, each in a directory of its
// own, and returns how many are broken in which way.
func writeSettings(b *testing.B, lab *entralab.Lab, tree string, apps int) map[string]int {
	draw := rand.New(rand.NewPCG(1, 1))
	kinds, causes := settingtest.Kinds(), map[string]int{}
	for i := range apps {
		at := lab.Now().AddDate(-1, 0, 0)
		app, err := lab.AddApp(entralab.AppSpec{DisplayName: fmt.Sprintf("app-%04d", i), Secrets: []entralab.SecretSpec{
			{DisplayName: "now", At: at}, {DisplayName: "ended", At: at, End: at.AddDate(0, 6, 0)},
		}})
		if err != nil {
			b.Fatal(err)
		}
		now, ended := app.Secrets[0].Value.Reveal(), app.Secrets[1].Value.Reveal()
		for n, s := range []struct{ value, cause string }{{now, "works"}, {now, "works"}, {[]string{now + " ", now + "\u200b"}[draw.IntN(2)], "secret-whitespace"}, {ended, "secret-expired"}} {
			causes[s.cause]++
			files, ok := map[string]string(nil), false
			for !ok {
				files, ok = kinds[draw.IntN(len(kinds))].Write(draw, settingtest.Parts{Tenant: app.TenantID, Client: app.ClientID, Secret: s.value})
			}
			for name, text := range files {
				path := filepath.Join(tree, fmt.Sprintf("app-%04d", i), fmt.Sprintf("place-%d", n), filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	return causes
}
