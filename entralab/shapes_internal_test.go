package entralab

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestShapes: over many starts every number of digits and both ends of the
// page sizes come up, and a date keeps its second.
func TestShapes(t *testing.T) {
	t.Parallel()
	digits, pages := map[int]bool{}, map[int]bool{}
	names := map[string]bool{}
	for seed := range uint64(1000) {
		s := newShapes(seed, 0)
		if *s != *newShapes(seed, 0) || *s == *newShapes(seed, 1) {
			t.Fatalf("seed %d: %+v", seed, s)
		}
		digits[s.digits], pages[s.pageSize], names[s.unknown] = true, true, true
		want := "2026-03-04T05:06:07"
		if s.digits > 0 {
			want += "." + "8900000"[:s.digits]
		}
		if got := s.date("2026-03-04T05:06:07.89Z"); got != want+"Z" {
			t.Fatalf("%d digits: %s", s.digits, got)
		}
	}
	if len(digits) != 8 || !digits[0] || !digits[7] || len(pages) != 100 || !pages[1] || !pages[100] || len(names) < 990 {
		t.Errorf("%d numbers of digits, %d sizes of pages, %d names", len(digits), len(pages), len(names))
	}
	if got := (*shapes)(nil).page(100); got != 100 {
		t.Errorf("a lab that is not strict has pages of %d", got)
	}
}

// TestShapesKeepNames: nothing is added among names that a client chose.
func TestShapesKeepNames(t *testing.T) {
	t.Parallel()
	const sent = `{"tags":{"a":"b"},"headers":{"Content-Type":"x"},"n":18446744073709551615,"f":1.50,"t":null,"b":true,"s":"é\u2028<","endDateTime":"never"}`
	for seed := range uint64(20) {
		s := newShapes(seed, 0)
		v, err := readOrdered(json.NewDecoder(strings.NewReader(sent)))
		if err != nil {
			t.Fatal(err)
		}
		got := string(appendJSON(nil, s.value("", v)))
		for _, part := range []string{`"tags":{"a":"b"}`, `"headers":{"Content-Type":"x"}`, `"n":18446744073709551615`, `"f":1.50`, `"s":"é\u2028<"`, `"endDateTime":"never"`, `"` + s.unknown + `":`} {
			if !strings.Contains(got, part) {
				t.Errorf("no %s in %s", part, got)
			}
		}
	}
}
