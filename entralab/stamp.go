package entralab

import "time"

// stamp is a date of the directory: ticks since the start of year 1, so that
// zero is the zero time.Time and means never. It takes a third of the room of
// a time.Time, and a large tenant holds ten for every app.
type stamp int64

const ticksPerSecond = int64(time.Second / tick)

// yearOne is the start of year 1 in seconds of Unix time.
const yearOne = -62135596800

// stampOf drops what is shorter than a tick.
func stampOf(t time.Time) stamp {
	return stamp((t.Unix()-yearOne)*ticksPerSecond + int64(t.Nanosecond())/int64(tick))
}

// time returns the date in UTC.
func (s stamp) time() time.Time {
	return time.Unix(int64(s)/ticksPerSecond+yearOne, int64(s)%ticksPerSecond*int64(tick)).UTC()
}

func (s stamp) isZero() bool { return s == 0 }

// add moves the date by a duration of whole ticks.
func (s stamp) add(d time.Duration) stamp { return s + stamp(d/tick) }

// seconds drops the fraction.
func (s stamp) seconds() stamp { return s - s%stamp(ticksPerSecond) }

// append writes the date as graphTime does.
func (s stamp) append(b []byte) []byte {
	return s.time().AppendFormat(b, graphLayout)
}

func (s stamp) String() string { return string(s.append(nil)) }
