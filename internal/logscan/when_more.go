package logscan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Times as they are written where ISO 8601 is not: mail and HTTP dates, git,
// Java, Tomcat, the portals' CSV.

const maxNamedMonth = 256 // how far into a line a month's name is looked for

// otherTime reads a time that starts with a digit and is none of the usual.
func otherTime(p []byte, i int, zone *time.Location) (time.Time, bool) {
	p = p[i:]
	switch {
	case shaped(p, "00000000T000000"):
		return date(number(p[:4]), number(p[4:6]), number(p[6:8]), spread(p[9:15]), 0, zoneOf(p[15:], zone))
	case shaped(p, "0000.00.00 00:00:00"):
		return date(number(p[:4]), number(p[5:7]), number(p[8:10]), p[11:19], 0, zoneOf(p[19:], zone))
	case shaped(p, "00") && len(p) >= 20 && (p[2] == ' ' || p[2] == '-') && p[6] == p[2] && shaped(p[7:], "0000 00:00:00"):
		nanos, rest := fraction(p[20:])
		return date(number(p[7:11]), monthOf(p[3:6]), number(p[:2]), p[12:20], nanos, zoneOf(rest, zone))
	case i == 0 && (shaped(p, "0000000000.000") || shaped(p, "0000000000000 ")):
		digits := 10
		if p[10] != '.' {
			digits = 13
		}
		return epoch(p[:digits], p[digits:])
	}
	return slashedTime(p, zone)
}

// spread gives 150405 its colons.
func spread(p []byte) []byte {
	return []byte{p[0], p[1], ':', p[2], p[3], ':', p[4], p[5]}
}

// slashedTime reads 1/2/2006, 3:04:05 PM and 01/02/2006 15:04:05: the month
// first, unless the number is too large for one.
func slashedTime(p []byte, zone *time.Location) (time.Time, bool) {
	month, p, ok := upTo(p, '/')
	if !ok {
		return time.Time{}, false
	}
	day, p, ok := upTo(p, '/')
	if !ok || !shaped(p, "0000") {
		return time.Time{}, false
	}
	if month > 12 {
		month, day = day, month
	}
	year := number(p[:4])
	return halfDay(year, month, day, bytes.TrimLeft(p[4:], ", "), zone)
}

// halfDay reads 3:04:05 PM or 15:04:05 behind a day.
func halfDay(year, month, day int, p []byte, zone *time.Location) (time.Time, bool) {
	hour, rest, ok := upTo(p, ':')
	if !ok || !shaped(rest, "00:00") {
		return time.Time{}, false
	}
	nanos, after := fraction(rest[5:])
	word := bytes.ToUpper(bytes.TrimLeft(after[:min(len(after), 4)], " \u202f"))
	switch {
	case bytes.HasPrefix(word, []byte("PM")) && hour < 12:
		hour += 12
	case bytes.HasPrefix(word, []byte("AM")) && hour == 12:
		hour = 0
	}
	clock := append([]byte{byte('0' + hour/10), byte('0' + hour%10), ':'}, rest[:5]...)
	return date(year, month, day, clock, nanos, zoneOf(after, zone))
}

// upTo reads one or two digits before a mark.
func upTo(p []byte, mark byte) (int, []byte, bool) {
	for n := 1; n <= 2 && n < len(p) && isDigit(p[n-1]); n++ {
		if p[n] == mark {
			return number(p[:n]), p[n+1:], true
		}
	}
	return 0, nil, false
}

// namedMonth reads Jan _2 15:04:05 2006 -0700, as git and ctime write it, and
// Jan 2, 2006 3:04:05 PM.
func namedMonth(p []byte, zone *time.Location) (time.Time, bool) {
	if len(p) < 20 || p[3] != ' ' || monthOf(p[:3]) == 0 {
		return time.Time{}, false
	}
	month, rest := monthOf(p[:3]), bytes.TrimLeft(p[4:], " ")
	if day, year, ok := upTo(rest, ','); ok && len(year) > 5 && shaped(year, " 0000") {
		return halfDay(number(year[1:5]), month, day, bytes.TrimLeft(year[5:], ", "), zone)
	}
	day, rest, ok := upTo(rest, ' ')
	if !ok || !shaped(rest, "00:00:00 0000") {
		return time.Time{}, false
	}
	return date(number(rest[9:13]), month, day, rest[:8], 0, zoneOf(rest[13:], zone))
}

// epoch reads seconds with a fraction, or milliseconds.
func epoch(digits, rest []byte) (time.Time, bool) {
	v, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if len(digits) == 13 {
		return time.UnixMilli(v).UTC(), true
	}
	nanos, _ := fraction(rest)
	return time.Unix(v, int64(nanos)).UTC(), true
}

// skew notes how far the time of a line is from the one that the service
// gives, when that is a matter of zones.
func (s *Scan) skew(line, service time.Time) {
	const part, close, farthest = 15 * time.Minute, 2 * time.Minute, 14 * time.Hour
	ahead := line.Sub(service)
	zones := ahead.Round(part)
	if line.IsZero() || service.IsZero() || zones == 0 || zones.Abs() > farthest || (ahead-zones).Abs() > close {
		return
	}
	s.skewed[zones]++
}

// notes say what the times of the logs were taken for.
func (s *Scan) notes() []string {
	notes := []string{"times that name no zone were taken as " + s.now.Location().String()}
	if s.now.Location().String() == "" {
		notes[0] = "times that name no zone were taken as " + s.now.Format("-07:00")
	}
	const telling = 3 // fewer are a client that waited
	for _, ahead := range slices.Sorted(maps.Keys(s.skewed)) {
		if n := s.skewed[ahead]; n >= telling {
			notes = append(notes, fmt.Sprintf("%d failures are in lines whose time is %s off the service's own: if those lines are in local time, give its zone with --zone", n, ahead))
		}
	}
	if s.overflow {
		notes = append(notes, fmt.Sprintf("more than %d codes, %d apps or %d incidents: what is beyond them is counted together, as code -1, under no app, or with the last incident of its class", maxCodes, maxApps, maxIncidents))
	}
	if s.seen.forgot {
		notes = append(notes, fmt.Sprintf("only the last %d failures or so are remembered: one that is printed again after more than those counts again", maxRecent/5))
	}
	return notes
}
