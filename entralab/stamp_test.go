package entralab

import (
	"testing"
	"time"
)

func TestStampKeepsWhatTheDirectoryShows(t *testing.T) {
	for _, at := range []time.Time{
		{},
		time.Date(1, 1, 1, 0, 0, 0, 100, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999_999_900, time.UTC),
		time.Date(2026, 11, 23, 4, 0, 0, 0, time.FixedZone("", 3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC),
	} {
		s := stampOf(at)
		if !s.time().Equal(at) || s.time().Location() != time.UTC || s.String() != graphTime(at) || s.isZero() != at.IsZero() {
			t.Errorf("%v became %v, written %s", at, s.time(), s)
		}
		if whole := s.seconds(); !whole.time().Equal(at.Truncate(time.Second)) {
			t.Errorf("%v in whole seconds is %s", at, whole)
		}
	}
	begin := time.Date(2026, 11, 23, 4, 0, 0, 199, time.UTC)
	if got := stampOf(begin).add(time.Second + 150); got.String() != "2026-11-23T04:00:01.0000002Z" {
		t.Errorf("got %s", got)
	}
}
