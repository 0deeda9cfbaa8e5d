package entralab

import (
	"sync"
	"time"
)

// The clock stays within these dates, so that its distance from the system's
// time always fits a time.Duration (292 years).
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// tick is the precision of dates in the directory: seven digits.
const tick = 100 * time.Nanosecond

// clock is the system's time plus an offset, or a time that stands still.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
	frozen time.Time // zero while the clock runs
}

// now returns the lab's time in UTC.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *clock) read() time.Time {
	if !c.frozen.IsZero() {
		return c.frozen
	}
	// Truncate also drops the monotonic reading, which lab time must not follow.
	return time.Now().UTC().Add(c.offset).Truncate(tick)
}

// set moves the clock to t, or to the nearest time it can tell.
func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jump(t)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jump(c.read().Add(d))
}

func (c *clock) jump(t time.Time) {
	t = t.UTC().Truncate(tick)
	if t.Before(earliest) {
		t = earliest
	}
	if t.After(latest) {
		t = latest
	}
	if c.frozen.IsZero() {
		c.offset = time.Until(t)
	} else {
		c.frozen = t
	}
}

// freeze stops the clock where it stands, or lets it run on from there.
func (c *clock) freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.read()
	c.frozen = time.Time{}
	if on {
		c.frozen = t
	} else {
		c.jump(t)
	}
}

func (c *clock) isFrozen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.frozen.IsZero()
}
