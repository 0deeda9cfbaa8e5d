package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Position is a place in a file; line and column count from 1.
type Position struct {
	File         string
	Line, Column int
}

// String is file:line:column.
func (p Position) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Error is one thing wrong with a configuration, and where.
type Error struct {
	At   Position
	Says string // what is wrong and what would be right; never a value
}

func (e Error) Error() string { return e.At.String() + ": " + e.Says }

// Errors is all that is wrong with a configuration, in the order of the file.
type Errors []Error

// Error tells the first and how many more there are.
func (e Errors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%s (and %d more)", e[0], len(e)-1)
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
	return e
}

func (s *source) errorf(line, column int, format string, args ...any) Errors {
	return Errors{{Position{s.name, line, column}, fmt.Sprintf(format, args...)}}
}

// fail records an error that is [Error] already.
func (d *decoder) fail(err error) {
	if e, ok := errors.AsType[Error](err); ok {
		d.errs = append(d.errs, e)
	}
}

// Unknown is the error of a name that is not known, with the nearest that is.
func Unknown(at Position, what, name string, known []string) Error {
	says := fmt.Sprintf("unknown %s %q", what, clip(name))
	if near := nearest(name, known); near != "" {
		return Error{at, says + fmt.Sprintf(": did you mean %q?", near)}
	}
	known = slices.Sorted(slices.Values(known))
	return Error{at, says + fmt.Sprintf(": known are %s", list(known))}
}

func list(names []string) string {
	text := ""
	for i, name := range names {
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// nearest returns the known name that is few edits away, "" if none is.
func nearest(name string, known []string) string {
	best, fewest := "", max(len(name)/2, 2)+1
	if len(name) > 40 {
		return ""
	}
	for _, k := range known {
		if n := edits(name, k); n < fewest {
			best, fewest = k, n
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
