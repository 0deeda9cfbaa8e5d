package entralab_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// gridEvent is an event as a webhook reads it.
type gridEvent struct {
	raw       string
	header    http.Header
	EventType string
	Topic     string
	Subject   string
	EventTime time.Time
	Data      struct {
		ValidationCode                             string
		ID                                         string `json:"Id"`
		VaultName, ObjectType, ObjectName, Version string
		NBF, EXP                                   *int64
	}
}

func (e gridEvent) kind() string { return e.EventType[strings.LastIndex(e.EventType, ".")+1:] }

// receiver is a webhook. answer may be nil: it plays the handshake and takes
// all events.
func receiver(t *testing.T, answer func(e gridEvent, attempt int) (int, string)) (url string, events <-chan gridEvent) {
	t.Helper()
	got := make(chan gridEvent, 100)
	attempts := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var list []gridEvent
		if err != nil || json.Unmarshal(body, &list) != nil || len(list) != 1 {
			t.Errorf("not one event: %v, %s", err, body)
			return
		}
		e := list[0]
		e.raw, e.header = string(body), r.Header
		status, text := 200, `{"validationResponse":"`+e.Data.ValidationCode+`"}`
		if answer != nil {
			status, text = answer(e, attempts)
		}
		attempts++
		w.WriteHeader(status)
		io.WriteString(w, text)
		got <- e
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

// next waits for an event.
func next(t *testing.T, events <-chan gridEvent) gridEvent {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
		panic("unreachable")
	}
}

func TestVaultEvents(t *testing.T) {
	t.Parallel()
	lab := startAt(t, "2026-12-01T00:00:00Z")
	c := operatorOf(lab)
	c.call(t, "PUT", "secrets/before", `{"value":"x","attributes":{"exp":1796083201}}`) // made before there is a webhook
	url, events := receiver(t, nil)
	if r := control(t, lab, "vault", `{"action":"webhook","vault":"kv-lab","webhook":"`+url+`"}`); r.status != 204 {
		t.Fatal(r.body)
	}
	handshake := next(t, events)
	if handshake.EventType != "Microsoft.EventGrid.SubscriptionValidationEvent" || handshake.header.Get("Aeg-Event-Type") != "SubscriptionValidation" || handshake.Data.ValidationCode == "" {
		t.Fatalf("%s", handshake.raw)
	}
	c.call(t, "PUT", "secrets/s", `{"value":"canary-value","attributes":{"nbf":1796083200,"exp":1803081600}}`) // 81 days
	made := next(t, events)
	if want := `"data":{"Id":"https://vault.lab.test/secrets/s/VERSION","VaultName":"kv-lab","ObjectType":"Secret","ObjectName":"s","Version":"VERSION","NBF":1796083200,"EXP":1803081600},"dataVersion":"1","metadataVersion":"1"}]`; !strings.HasSuffix(versionID.ReplaceAllString(made.raw, "VERSION"), want) ||
		made.kind() != "SecretNewVersionCreated" || made.Subject != "s" || !strings.HasSuffix(made.Topic, "/providers/Microsoft.KeyVault/vaults/kv-lab") || !made.EventTime.Equal(lab.Now()) || made.header.Get("Aeg-Event-Type") != "Notification" {
		t.Errorf("%s", made.raw)
	}
	if leaks(made.raw, "canary-value") {
		t.Error("an event shows a value")
	}
	end := time.Unix(1803081600, 0)
	near := end.AddDate(0, 0, -30)
	lab.Set(near.Add(-time.Second))
	c.call(t, "PUT", "secrets/plain", `{"value":"x"}`)
	if e := next(t, events); e.Subject != "plain" { // so nothing came a second early
		t.Errorf("%s", e.raw)
	}
	lab.Advance(time.Second)
	if e := next(t, events); e.kind() != "SecretNearExpiry" || e.Data.Version != made.Data.Version || !e.EventTime.Equal(near) {
		t.Errorf("%s", e.raw)
	}
	// Once for each version, also when the clock goes back and forth. A
	// disabled secret is announced all the same.
	c.call(t, "PATCH", "secrets/s", `{"attributes":{"enabled":false}}`)
	lab.Set(near.Add(-time.Hour))
	control(t, lab, "clock", `{"set":"`+end.UTC().Format(time.RFC3339)+`"}`)
	if e := next(t, events); e.kind() != "SecretExpired" {
		t.Errorf("%s", e.raw)
	}
	// A new date is announced anew; a deleted secret is not.
	c.call(t, "PUT", "secrets/gone", `{"value":"x"}`)
	next(t, events)
	c.call(t, "DELETE", "secrets/gone", "")
	c.call(t, "PATCH", "secrets/s", `{"attributes":{"exp":1803081601}}`)
	if e := next(t, events); e.kind() != "SecretNearExpiry" || *e.Data.EXP != 1803081601 {
		t.Errorf("%s", e.raw)
	}
	lab.Advance(time.Hour)
	if e := next(t, events); e.kind() != "SecretExpired" {
		t.Errorf("%s", e.raw)
	}
	// The lab's record agrees once the last answer is counted.
	c.call(t, "PUT", "secrets/last", `{"value":"x"}`)
	next(t, events)
	waitFor(t, lab, `"webhook":{"url":"`+url+`","state":"active","delivered":8,"failed":0}`)
}

// waitFor waits until the state says something.
func waitFor(t *testing.T, lab *entralab.Lab, want string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(stateOf(t, lab), want); {
		if time.Now().After(deadline) {
			state := stateOf(t, lab)
			t.Fatalf("not %s: %s", want, state[strings.Index(state, `"vaults"`):])
		}
	}
}

// TestVaultEventsRun: a running clock makes events due by itself.
func TestVaultEventsRun(t *testing.T) {
	t.Parallel()
	lab := start(t)
	url, events := receiver(t, nil)
	if err := lab.SetVaultWebhook(entralab.DefaultVault, url); err != nil {
		t.Fatal(err)
	}
	next(t, events)
	end := lab.Now().Truncate(time.Second).Add(30*24*time.Hour + 2*time.Second)
	body, err := json.Marshal(map[string]any{"value": "x", "attributes": map[string]any{"exp": end.Unix()}})
	if err != nil {
		t.Fatal(err)
	}
	operatorOf(lab).call(t, "PUT", "secrets/s", string(body))
	for _, want := range []string{"SecretNewVersionCreated", "SecretNearExpiry"} {
		if e := next(t, events); e.kind() != want {
			t.Errorf("%s, want %s", e.raw, want)
		}
	}
	if lab.Now().Before(end.AddDate(0, 0, -30)) {
		t.Error("too early")
	}
}

// TestVaultEventsFail: what a webhook does wrong, and what it gets for it.
func TestVaultEventsFail(t *testing.T) {
	t.Parallel()
	t.Run("wrong code", func(t *testing.T) {
		t.Parallel()
		lab := start(t)
		url, events := receiver(t, func(gridEvent, int) (int, string) { return 200, `{"validationResponse":"x"}` })
		if err := lab.SetVaultWebhook(entralab.DefaultVault, url); err != nil {
			t.Fatal(err)
		}
		next(t, events)
		operatorOf(lab).call(t, "PUT", "secrets/s", `{"value":"x"}`)
		waitFor(t, lab, `"state":"failed","delivered":0,"failed":1}`)
		if len(events) != 0 {
			t.Errorf("%s", next(t, events).raw)
		}
	})
	t.Run("retries", func(t *testing.T) {
		t.Parallel()
		lab := start(t)
		url, events := receiver(t, func(e gridEvent, attempt int) (int, string) { // 0 and 1: handshake, 2 to 4: first, 5: second, 6 to 9: third
			if attempt == 1 || attempt == 4 {
				return 200, `{"validationResponse":"` + e.Data.ValidationCode + `"}`
			}
			if attempt == 5 {
				return 400, ""
			}
			return 503, ""
		})
		if err := lab.SetVaultWebhook(entralab.DefaultVault, url); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"first", "second", "third"} {
			operatorOf(lab).call(t, "PUT", "secrets/"+name, `{"value":"x"}`)
		}
		var got []string
		for range 10 {
			e := next(t, events)
			got = append(got, e.Subject+e.header.Get("Aeg-Delivery-Count"))
		}
		if s := strings.Join(got, " "); s != "0 1 first0 first1 first2 second0 third0 third1 third2 third3" {
			t.Errorf("%s", s)
		}
		waitFor(t, lab, `"state":"active","delivered":1,"failed":2}`)
	})
	t.Run("redirect", func(t *testing.T) {
		t.Parallel()
		lab := start(t)
		server := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusTemporaryRedirect))
		defer server.Close()
		if err := lab.SetVaultWebhook(entralab.DefaultVault, server.URL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, lab, `"state":"failed","delivered":0,"failed":0}`)
	})
	t.Run("closed lab", func(t *testing.T) {
		t.Parallel()
		lab := start(t)
		stuck := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // else the server does not notice that the client has gone
			close(stuck)
			<-r.Context().Done()
		}))
		defer server.Close()
		if err := lab.SetVaultWebhook(entralab.DefaultVault, server.URL); err != nil {
			t.Fatal(err)
		}
		<-stuck
		if err := lab.Close(); err != nil {
			t.Fatal(err)
		}
		if err := lab.SetVaultWebhook(entralab.DefaultVault, server.URL); err == nil {
			t.Error("a closed lab takes a webhook")
		}
	})
}
