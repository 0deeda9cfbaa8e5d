package entralab

import (
	"bytes"
	"context"
	"testing"
	"time"
)

func TestHistoryForgetsTheOldest(t *testing.T) {
	var h history
	const n = 2*historySize + 5
	for range n {
		h.add(time.Time{}, Event{Path: "/x"})
	}
	events := h.after(0)
	if len(events) != historySize || events[0].Seq != n-historySize+1 || events[historySize-1].Seq != n {
		t.Errorf("%d events from %d to %d", len(events), events[0].Seq, events[len(events)-1].Seq)
	}
	for i, e := range h.after(n - 3) {
		if e.Seq != n-2+i {
			t.Errorf("event %d has the number %d", i, e.Seq)
		}
	}
}

// TestValuesAreKeptAsSaltedHashes looks where no client can.
func TestValuesAreKeptAsSaltedHashes(t *testing.T) {
	l, err := Start(context.Background(), Config{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const value = "one value for two secrets"
	if _, err := l.AddApp(AppSpec{Secrets: []SecretSpec{{Value: value}, {Value: value}}}); err != nil {
		t.Fatal(err)
	}
	secrets := l.home.apps[len(l.home.apps)-1].secrets
	if bytes.Equal(secrets[0].hash[:], secrets[1].hash[:]) || !secrets[0].matches(l.home.salt, value) || secrets[0].matches(l.home.salt, value+"x") {
		t.Errorf("hashes %x and %x", secrets[0].hash, secrets[1].hash)
	}
}

// TestAuditTakesRoomByTheChange: entries about secrets hold no sets of them.
func TestAuditTakesRoomByTheChange(t *testing.T) {
	l, err := Start(context.Background(), Config{InProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	app, err := l.AddApp(AppSpec{})
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	for range n {
		if _, err := l.AddSecret(app.ObjectID, SecretSpec{DisplayName: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	room, entries := 0, 0
	for _, e := range l.home.audits {
		for _, c := range e.changes {
			room += len(c.old) + len(c.new)
		}
		if e.keys.of == nil {
			continue
		}
		entries++
		if c := e.keys.change(); bytes.Count([]byte(c.old), []byte("KeyIdentifier="))+1 != bytes.Count([]byte(c.new), []byte("KeyIdentifier=")) {
			t.Fatalf("entry %d: from %d bytes to %d", entries, len(c.old), len(c.new))
		}
	}
	if room > 200*len(l.home.audits) || entries < n {
		t.Errorf("%d entries hold %d bytes", entries, room)
	}
}
