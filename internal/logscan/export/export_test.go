package export

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Format{
		"": None, "2026-01-02 [info] {\"a\":1}": None, "[2026-01-02 03:04:05] x": None, `{"ts":1,"msg":"x","items":[1]}`: None, `["a"]`: None,
		"a,b,c": None, "INFO time, message, appid unknown, x": None, `{"category":"AuditLogs"}`: Lines, `{"time":"t","operationName":"Sign-in activity"}`: Lines,
		"\ufeff[\n {\"a\":1}]": Document, `{"records":[{}]}`: Document, `{ "@odata.context": "x", "value" : [`: Document, `{"tables":[`: Document,
		"TimeGenerated [UTC],AppId,ResultType\n1": Table, "\"Date (UTC)\",\"Application ID\"\n": Table,
	} {
		if got := Sniff([]byte(text)); got != want {
			t.Errorf("Sniff(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestRecordIsFlat(t *testing.T) {
	t.Parallel()
	var got []Record
	text := `[{"A":{"b c":"x","list":[{"k":1},{"k":2}]},"dyn":"{\"in\":true}","none":null}] {"value":[{"z":1}],"count":3} {"lone":1}`
	if _, err := Read(strings.NewReader(text), Document, func(r Record) { got = append(got, r) }); err != nil || len(got) != 3 {
		t.Fatalf("%v, %+v", err, got)
	}
	if r := got[0]; r.Get("a.bc") != "x" || strings.Join(r.All("a.list.k"), " ") != "1 2" || r.Get("dyn.in") != "true" || r.Get("none", "a.bc") != "x" {
		t.Errorf("%+v", r)
	}
	if got[1].Get("z") != "1" || got[2].Get("lone") != "1" {
		t.Errorf("%+v", got[1:])
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text    string
		format  Format
		records int
		want    error
	}{
		{`[{"a":1},{"a":`, Document, 1, io.ErrUnexpectedEOF},
		{`{"tables":[{"columns":[{"name":"a"}],"rows":[[1],[2`, Document, 1, io.ErrUnexpectedEOF},
		{`[{"a":1},{"a":"` + strings.Repeat("x", 5<<20) + `"}]`, Document, 1, ErrTooLarge},
		{"{\"a\":1}\nno\n{\"a\":2}\n{\"a", Lines, 2, nil},
		{`{"a":"` + strings.Repeat("x", 5<<20), Lines, 0, ErrTooLarge},
		{"time,appid\n1,2\n\"" + strings.Repeat("x", 5<<20), Table, 1, ErrTooLarge},
		{`[{"a":1}]`, None, 0, nil},
	} {
		n := 0
		_, err := Read(strings.NewReader(test.text), test.format, func(r Record) {
			if r.Get("a", "appid") != "" {
				n++
			}
		})
		if n != test.records || test.want != nil && !errors.Is(err, test.want) || test.format == None && err == nil {
			t.Errorf("%.30q: %d records, %v", test.text, n, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{`[{"a":"{\"b\":1}"}]`, `{"tables":[{"name":"x","columns":[{"name":"a"}],"rows":[[1]]}]}`, "TimeGenerated,AppId\n1,\"2\n3\"", `{"records":[{}]}{"value":null}`, `{"category":"AuditLogs"}`} {
		f.Add([]byte(text), byte(2))
	}
	f.Fuzz(func(t *testing.T, text []byte, format byte) {
		_ = Sniff(text)
		whole, broken := 0, 0
		taken, err := Read(bytes.NewReader(text), Format(format%4), func(r Record) {
			whole++
			if len(r.Fields) > maxFields {
				t.Errorf("%d fields", len(r.Fields))
			}
		})
		if taken > int64(len(text)) {
			t.Errorf("%d of %d bytes taken", taken, len(text))
		}
		_, again := Read(io.MultiReader(bytes.NewReader(text[:len(text)/2]), bytes.NewReader(text[len(text)/2:])), Format(format%4), func(Record) { broken++ })
		if whole != broken || (err == nil) != (again == nil) {
			t.Errorf("%d records, %v; in two reads %d, %v", whole, err, broken, again)
		}
	})
}
