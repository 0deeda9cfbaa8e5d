package logscan

import (
	"bytes"
	"strconv"
	"time"
)

// The times of log lines. One that names no zone is taken in that of now, and
// one that names no year as the last such day before now.

const maxTimeSearch = 16 << 10 // how much of one line is looked at

// timeIn returns the first time that a line tells. ok is false when it tells
// none.
func timeIn(line []byte, now time.Time) (at time.Time, ok bool) {
	line = line[:min(len(line), maxTimeSearch)]
	for i := 0; i+8 <= len(line); i++ {
		if i > 0 && isDigit(line[i-1]) {
			continue
		}
		switch c := line[i]; {
		case isDigit(c):
			if at, ok = isoTime(line[i:], now.Location()); ok {
				return at, true
			}
			if at, ok = apacheTime(line[i:]); ok {
				return at, true
			}
			if at, ok = otherTime(line, i, now.Location()); ok {
				return at, true
			}
			if at, ok = epochTime(line, i); ok {
				return at, true
			}
		case i == 0 || i < 8 && line[i-1] == '>':
			if at, ok = namedMonth(line[i:], now.Location()); ok {
				return at, true
			}
			if at, ok = syslogTime(line[i:], now); ok {
				return at, true
			}
			if at, ok = klogTime(line[i:], now); ok {
				return at, true
			}
		case i < maxNamedMonth && (c == 'J' || c == 'F' || c == 'M' || c == 'A' || c == 'S' || c == 'O' || c == 'N' || c == 'D'):
			if at, ok = namedMonth(line[i:], now.Location()); ok {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// shaped reports whether p starts with text of the given shape: 0 stands for a
// digit, anything else for itself.
func shaped(p []byte, shape string) bool {
	if len(p) < len(shape) {
		return false
	}
	for i := range len(shape) {
		if shape[i] == '0' && !isDigit(p[i]) || shape[i] != '0' && p[i] != shape[i] {
			return false
		}
	}
	return true
}

// number reads digits that shaped has seen.
func number(p []byte) int {
	n := 0
	for _, c := range p {
		n = n*10 + int(c-'0')
	}
	return n
}

// isoTime reads 2006-01-02T15:04:05, with a space or a slash where others have
// them, fractions behind a dot or comma, and a zone.
func isoTime(p []byte, assumed *time.Location) (time.Time, bool) {
	if !shaped(p, "0000-00-00") && !shaped(p, "0000/00/00") {
		return time.Time{}, false
	}
	if len(p) < 19 || p[10] != 'T' && p[10] != ' ' && p[10] != 't' || !shaped(p[11:], "00:00:00") {
		return time.Time{}, false
	}
	year, month, day := number(p[:4]), number(p[5:7]), number(p[8:10])
	nanos, rest := fraction(p[19:])
	return date(year, month, day, p[11:19], nanos, zoneOf(rest, assumed))
}

// date refuses what is no date; clock is 15:04:05.
func date(year, month, day int, clock []byte, nanos int, zone *time.Location) (time.Time, bool) {
	hour, minute, second := number(clock[:2]), number(clock[3:5]), number(clock[6:8])
	if year < 1990 || year > 2200 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone)
	if at.Day() != day && second < 60 {
		return time.Time{}, false
	}
	return at.UTC(), true
}

func fraction(p []byte) (nanos int, rest []byte) {
	if len(p) < 2 || p[0] != '.' && p[0] != ',' || !isDigit(p[1]) {
		return 0, p
	}
	unit, i := 100_000_000, 1
	for ; i < len(p) && isDigit(p[i]); i++ {
		nanos += int(p[i]-'0') * unit
		unit /= 10
	}
	return nanos, p[i:]
}

// zoneOf reads Z, UTC, GMT, +0200 or +02:00; nothing and other names are the
// assumed zone.
func zoneOf(p []byte, assumed *time.Location) *time.Location {
	p = bytes.TrimLeft(p[:min(len(p), 8)], " ")
	if len(p) == 0 {
		return assumed
	}
	if p[0] == 'Z' || p[0] == 'z' || bytes.HasPrefix(p, []byte("UTC")) || bytes.HasPrefix(p, []byte("GMT")) {
		return time.UTC
	}
	if p[0] != '+' && p[0] != '-' {
		return assumed
	}
	var minutes int
	switch {
	case shaped(p[1:], "00:00"):
		minutes = number(p[1:3])*60 + number(p[4:6])
	case shaped(p[1:], "0000"):
		minutes = number(p[1:3])*60 + number(p[3:5])
	default:
		return assumed
	}
	if p[0] == '-' {
		minutes = -minutes
	}
	if minutes == 0 {
		return time.UTC
	}
	return time.FixedZone("", minutes*60)
}

// apacheTime reads 02/Jan/2006:15:04:05 -0700.
func apacheTime(p []byte) (time.Time, bool) {
	if len(p) < 20 || p[2] != '/' || p[6] != '/' || !shaped(p, "00/") || !shaped(p[7:], "0000:00:00:00") {
		return time.Time{}, false
	}
	month := monthOf(p[3:6])
	return date(number(p[7:11]), month, number(p[:2]), p[12:20], 0, zoneOf(p[20:], time.UTC))
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

func monthOf(p []byte) int {
	if i := bytes.Index([]byte(months), p[:3]); i >= 0 && i%3 == 0 {
		return i/3 + 1
	}
	return 0
}

// syslogTime reads Jan _2 15:04:05.
func syslogTime(p []byte, now time.Time) (time.Time, bool) {
	if len(p) < 15 || p[3] != ' ' || !shaped(p[5:], "0 00:00:00") || p[4] != ' ' && !isDigit(p[4]) {
		return time.Time{}, false
	}
	day := int(p[5] - '0')
	if isDigit(p[4]) {
		day += 10 * int(p[4]-'0')
	}
	return lastYear(monthOf(p), day, p[7:15], 0, now)
}

// klogTime reads I0102 15:04:05.000000.
func klogTime(p []byte, now time.Time) (time.Time, bool) {
	if len(p) < 14 || bytes.IndexByte([]byte("IWEF"), p[0]) < 0 || !shaped(p[1:], "0000 00:00:00") {
		return time.Time{}, false
	}
	nanos, _ := fraction(p[14:])
	return lastYear(number(p[1:3]), number(p[3:5]), p[6:14], nanos, now)
}

// lastYear gives a date without a year the last one that is not in the future.
func lastYear(month, day int, clock []byte, nanos int, now time.Time) (time.Time, bool) {
	at, ok := date(now.Year(), month, day, clock, nanos, now.Location())
	if ok && !at.After(now.Add(24*time.Hour)) {
		return at, true
	}
	return date(now.Year()-1, month, day, clock, nanos, now.Location())
}

// epochTime reads the number behind ts=, "time": or __REALTIME_TIMESTAMP=, in
// seconds, milli-, micro- or nanoseconds by its length.
func epochTime(line []byte, i int) (time.Time, bool) {
	n := 0
	for i+n < len(line) && isDigit(line[i+n]) {
		n++
	}
	if n != 10 && n != 13 && n != 16 && n != 19 || !namesTime(line[max(0, i-24):i]) {
		return time.Time{}, false
	}
	v, err := strconv.ParseInt(string(line[i:i+n]), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	switch n {
	case 10:
		nanos, _ := fraction(line[i+n:])
		return time.Unix(v, int64(nanos)).UTC(), true
	case 13:
		return time.UnixMilli(v).UTC(), true
	case 16:
		return time.UnixMicro(v).UTC(), true
	}
	return time.Unix(0, v).UTC(), true
}

func namesTime(key []byte) bool {
	key = bytes.ToLower(bytes.TrimRight(key, "\"': ="))
	return bytes.HasSuffix(key, []byte("ts")) || bytes.HasSuffix(key, []byte("time")) || bytes.HasSuffix(key, []byte("timestamp")) || bytes.HasSuffix(key, []byte("epoch"))
}
