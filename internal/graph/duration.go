package graph

import (
	"fmt"
	"strconv"
	"time"
)

// isoDuration reads an ISO 8601 duration such as P90D or PT12H. Years and
// months count as their shortest, since it is a limit that is read.
func isoDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	dates := map[byte]time.Duration{'Y': 365 * day, 'M': 28 * day, 'W': 7 * day, 'D': day}
	times := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
	bad := fmt.Errorf("%q is no ISO 8601 duration", text)
	if len(text) < 3 || text[0] != 'P' {
		return 0, bad
	}
	var sum time.Duration
	units, digits := dates, ""
	for i := 1; i < len(text); i++ {
		switch ch := text[i]; {
		case ch >= '0' && ch <= '9':
			digits += text[i : i+1]
		case ch == 'T' && digits == "":
			units = times
		default:
			n, err := strconv.Atoi(digits)
			unit, known := units[ch]
			if err != nil || !known || n > int(200*365*day/unit) {
				return 0, bad
			}
			sum, digits = sum+time.Duration(n)*unit, ""
			if sum < 0 {
				return 0, bad
			}
		}
	}
	if digits != "" {
		return 0, bad
	}
	return sum, nil
}
