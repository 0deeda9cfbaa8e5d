// Package export reads logs that were exported as records: what Entra writes
// to storage and Event Hubs, the answers of Graph, Log Analytics and
// Application Insights, and the CSV of the portals. It holds one record at a time.
package export

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Format is how records are written.
type Format int

// The formats.
const (
	None     Format = iota // no export: text
	Lines                  // one JSON object a line
	Document               // JSON: an array, an envelope with one, or tables
	Table                  // CSV with a header
)

// Enough bytes of the beginning tell the format.
const Enough = 4 << 10

const maxRecord = 4 << 20

// ErrTooLarge is returned for a record of more than 4 MiB.
var ErrTooLarge = errors.New("one record is larger than 4 MiB")

// A Record is one row. Nested members have names joined by dots, those of
// lists without an index; JSON inside a text is read as well.
type Record struct {
	Fields []Field
}

// Field is one value. Name is in lower case and has letters, digits and dots
// only: "TimeGenerated [UTC]" is timegenerated.
type Field struct{ Name, Value string }

// Get returns the first of the named fields that is there and not empty.
func (r Record) Get(names ...string) string {
	for _, name := range names {
		for _, f := range r.Fields {
			if f.Name == name && f.Value != "" {
				return f.Value
			}
		}
	}
	return ""
}

// All returns the values of a field that comes more than once.
func (r Record) All(name string) []string {
	var all []string
	for _, f := range r.Fields {
		if f.Name == name {
			all = append(all, f.Value)
		}
	}
	return all
}

var (
	envelope = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\{\s*(?:"(?:@odata\.[A-Za-z.]+|count|kind|apiVersion|statusCode|name)"\s*:\s*(?:"[^"]*"|\d+)\s*,\s*)*"(?:records|value|tables|Tables|items)"\s*:\s*\[`)
	})
	signIn = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)"category"\s*:\s*"[a-z]*(?:SignInLogs|AuditLogs|AuditEvent)"|"operationName"\s*:\s*"Sign-in activity"|microsoft\.aadiam`)
	})
)

// Sniff tells the format from the beginning of a log.
func Sniff(head []byte) Format {
	head = trim(head)
	if len(head) == 0 {
		return None
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case head[0] == '[':
		if rest := bytes.TrimLeft(head[1:], " \t\r\n"); len(rest) > 0 && rest[0] == '{' {
			return Document
		}
	case head[0] == '{':
		if envelope().Match(head) {
			return Document
		}
		if signIn().Match(line) {
			return Lines
		}
	default:
		if isHeader(line) {
			return Table
		}
	}
	return None
}

func trim(p []byte) []byte { return bytes.TrimLeft(bytes.TrimPrefix(p, []byte("\ufeff")), " \t\r\n") }

// The columns that a CSV must have one of each of, so that no text with commas
// is taken for one.
var (
	timeColumns = []string{"timegenerated", "timestamp", "dateutc", "date", "time", "createddatetime", "activitydatetime"}
	factColumns = []string{"resulttype", "signinerrorcode", "errorcode", "status.errorcode", "outermessage", "innermostmessage", "exceptiontype", "resultdescription", "applicationid", "appid", "message", "logmessage", "renderedmessage"}
)

func isHeader(line []byte) bool {
	if bytes.Count(line, []byte(",")) < 1 || !bytes.ContainsAny(line, "Tt") {
		return false
	}
	header, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil {
		return false
	}
	when, fact := false, false
	for _, name := range header {
		name = plain(name)
		when = when || slices.Contains(timeColumns, name)
		fact = fact || slices.Contains(factColumns, name)
	}
	return when && fact
}

// plain is a name as [Field] has it.
func plain(name string) string {
	if i := strings.IndexByte(name, '['); i > 0 {
		name = name[:i] // TimeGenerated [UTC]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, name)
}

// budget ends a read when one record takes too much.
type budget struct {
	r    io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, ErrTooLarge
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *budget) renew() { b.left = maxRecord }

// Read gives each record to yield and returns how many bytes of r they took.
// A line of [Lines] that is no JSON is skipped; the other formats end with the
// first error.
func Read(r io.Reader, format Format, yield func(Record)) (int64, error) {
	b := &budget{r: r, left: maxRecord}
	switch format {
	case Lines:
		return lines(b, yield)
	case Document:
		return document(b, yield)
	case Table:
		return table(b, yield)
	}
	return 0, fmt.Errorf("format %d has no records", format)
}

func lines(b *budget, yield func(Record)) (done int64, err error) {
	in := bufio.NewReaderSize(b, maxRecord)
	for {
		b.renew()
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return done, ErrTooLarge
		}
		done += int64(len(line))
		if record, ok := object(trim(line)); ok {
			yield(record)
		}
		if errors.Is(err, io.EOF) {
			return done, nil // a last line may be half written
		}
		if err != nil {
			return done, err
		}
	}
}

// object reads one JSON object.
func object(raw []byte) (Record, bool) {
	if len(raw) == 0 || raw[0] != '{' {
		return Record{}, false
	}
	var record Record
	return record, record.add("", raw, 0)
}

// What one record may hold.
const (
	maxDepth  = 8
	maxFields = 2_000
)

// add flattens a JSON value.
func (r *Record) add(name string, raw []byte, depth int) bool {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || depth > maxDepth || len(r.Fields) >= maxFields {
		return false
	}
	switch raw[0] {
	case '{':
		return r.members(name, raw, depth)
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return false
		}
		for _, item := range list {
			r.add(name, item, depth+1)
		}
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return false
		}
		r.text(name, text, depth)
	default:
		if string(raw) != "null" {
			r.Fields = append(r.Fields, Field{name, string(raw)})
		}
	}
	return true
}

// members keeps the order of an object, which a map would lose.
func (r *Record) members(name string, raw []byte, depth int) bool {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if _, err := decoder.Token(); err != nil {
		return false
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return false
		}
		text, _ := key.(string)
		inner := strings.ReplaceAll(plain(text), ".", "")
		if name != "" {
			inner = name + "." + inner
		}
		r.add(inner, value, depth+1)
	}
	_, err := decoder.Token()
	return err == nil
}

// text adds a text, and what is in it when it is JSON: the dynamic columns of
// Log Analytics are.
func (r *Record) text(name, text string, depth int) {
	r.Fields = append(r.Fields, Field{name, text})
	if inner := strings.TrimSpace(text); len(inner) > 1 && (inner[0] == '{' || inner[0] == '[') && json.Valid([]byte(inner)) {
		r.add(name, []byte(inner), depth+1)
	}
}

// document reads any number of JSON values: arrays of records, envelopes with
// one, tables, or records.
func document(b *budget, yield func(Record)) (int64, error) {
	d := documents{decoder: json.NewDecoder(b), budget: b, yield: yield}
	for {
		b.renew()
		token, err := d.decoder.Token()
		if errors.Is(err, io.EOF) {
			return d.decoder.InputOffset(), nil
		}
		switch token {
		case json.Delim('['):
			err = d.array()
		case json.Delim('{'):
			err = d.envelope()
		}
		if err != nil {
			return d.decoder.InputOffset(), err
		}
	}
}

type documents struct {
	decoder *json.Decoder
	budget  *budget
	yield   func(Record)
}

// array reads records up to the closing bracket.
func (d *documents) array() error {
	for d.decoder.More() {
		var raw json.RawMessage
		d.budget.renew()
		if err := d.decoder.Decode(&raw); err != nil {
			return whole(err)
		}
		if record, ok := object(raw); ok {
			d.yield(record)
		}
	}
	_, err := d.decoder.Token()
	return whole(err)
}

// whole says that a value that was begun must end.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// envelope reads the members of an object; one without a list of records is a
// record itself.
func (d *documents) envelope() error {
	var record Record
	lists := 0
	for d.decoder.More() {
		key, err := d.decoder.Token()
		if err != nil {
			return whole(err)
		}
		name, _ := key.(string)
		name = plain(name)
		d.budget.renew()
		switch name {
		case "records", "value", "items", "tables":
			lists++
			err = d.list(name, &record)
		default:
			var raw json.RawMessage
			if err = d.decoder.Decode(&raw); err == nil {
				record.add(name, raw, 1)
			}
		}
		if err != nil {
			return whole(err)
		}
	}
	if _, err := d.decoder.Token(); err != nil {
		return whole(err)
	}
	if lists == 0 && len(record.Fields) > 0 {
		d.yield(record)
	}
	return nil
}

// list reads the value of a member that holds records, if it is a list.
func (d *documents) list(name string, record *Record) error {
	token, err := d.decoder.Token()
	if err != nil {
		return err
	}
	switch {
	case token == json.Delim('[') && name == "tables":
		return d.tables()
	case token == json.Delim('['):
		return d.array()
	case token == json.Delim('{'):
		return d.envelope()
	}
	record.Fields = append(record.Fields, Field{name, fmt.Sprint(token)})
	return nil
}

// tables reads the tables of a query: columns, then rows.
func (d *documents) tables() error {
	for d.decoder.More() {
		if err := d.open('{'); err != nil {
			return err
		}
		if err := d.table(); err != nil {
			return err
		}
	}
	_, err := d.decoder.Token()
	return whole(err)
}

// open reads the delimiter that a table must have here.
func (d *documents) open(want json.Delim) error {
	token, err := d.decoder.Token()
	if err == nil && token != want {
		err = fmt.Errorf("a table has %v where %v must stand", token, want)
	}
	return whole(err)
}

func (d *documents) table() error {
	var columns []string
	for d.decoder.More() {
		key, err := d.decoder.Token()
		if err != nil {
			return whole(err)
		}
		d.budget.renew()
		switch name, _ := key.(string); plain(name) {
		case "columns":
			var named []struct{ Name, ColumnName string }
			if err := d.decoder.Decode(&named); err != nil {
				return whole(err)
			}
			columns = nil
			for _, column := range named {
				columns = append(columns, plain(column.Name+column.ColumnName))
			}
		case "rows":
			if err := d.rows(columns); err != nil {
				return err
			}
		default:
			var skipped json.RawMessage
			if err := d.decoder.Decode(&skipped); err != nil {
				return whole(err)
			}
		}
	}
	_, err := d.decoder.Token()
	return whole(err)
}

func (d *documents) rows(columns []string) error {
	if err := d.open('['); err != nil {
		return err
	}
	for d.decoder.More() {
		var row []json.RawMessage
		d.budget.renew()
		if err := d.decoder.Decode(&row); err != nil {
			return whole(err)
		}
		var record Record
		for i, cell := range row[:min(len(row), len(columns))] {
			record.add(columns[i], cell, 1)
		}
		d.yield(record)
	}
	_, err := d.decoder.Token()
	return whole(err)
}

func table(b *budget, yield func(Record)) (int64, error) {
	in := csv.NewReader(b)
	in.FieldsPerRecord, in.LazyQuotes, in.ReuseRecord = -1, true, true
	var header []string
	for {
		b.renew()
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return in.InputOffset(), nil
		}
		if err != nil {
			return in.InputOffset(), err
		}
		if header == nil {
			for _, name := range row {
				header = append(header, plain(strings.TrimPrefix(name, "\ufeff")))
			}
			continue
		}
		var record Record
		for i, cell := range row[:min(len(row), len(header))] {
			if len(record.Fields) < maxFields {
				record.text(header[i], cell, 1)
			}
		}
		yield(record)
	}
}
