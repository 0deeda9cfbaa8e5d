package cli

import (
	"os"
	"path"
	"strings"

	"github.com/credsmith/credsmith/internal/bytesview"
	"github.com/credsmith/credsmith/internal/consumer"
	"github.com/credsmith/credsmith/internal/diagnose"
	"github.com/credsmith/credsmith/internal/secret"
	"github.com/credsmith/credsmith/internal/setting"
	"github.com/credsmith/credsmith/internal/text"
)

// viewed is a report with the value's bytes, when --bytes asks for them, and
// with what wrote the error or reads the file.
type viewed struct {
	diagnose.Report
	Bytes     *bytesview.View  `json:"bytes,omitempty"`
	Consumers []consumer.Match `json:"consumer,omitempty"` // the likeliest first
}

// bytesOf is the view of a value that comes from no file.
func (f doctorFlags) bytesOf(v secret.Value) *bytesview.View {
	if !f.bytes {
		return nil
	}
	view := bytesview.Of(v)
	return &view
}

// bytesAt is the view of a value found in a file, with what the other readers
// of such files would make of the same text.
func (f doctorFlags) bytesAt(found setting.Found) *bytesview.View {
	if !f.bytes || !found.Secret.Set {
		return nil
	}
	kind, raw, ok := rawText(found.Secret)
	if !ok {
		return f.bytesOf(found.Value)
	}
	view := bytesview.OfRaw(found.Value, raw, kind)
	return &view
}

// rawText is a value as it stands in its file: in files of lines what follows
// the separator, in others the run of bytes with its quotes.
func rawText(p setting.Part) (kind string, raw secret.Value, ok bool) {
	name := strings.ToLower(path.Base(p.File))
	switch {
	case strings.HasSuffix(name, ".properties"):
		kind = bytesview.Properties
	case strings.HasSuffix(name, ".ini"):
		kind = bytesview.INI
	case strings.Contains(name, ".env") || strings.HasPrefix(name, "env."):
		kind = bytesview.Dotenv
	case strings.HasSuffix(name, ".sh"):
		kind = bytesview.Dotenv
	case strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml"):
		kind = bytesview.YAML
	case strings.HasSuffix(name, ".json"):
		kind = bytesview.JSON
	default:
		return "", raw, false
	}
	data, err := os.ReadFile(p.File)
	if err != nil { // it was read a moment ago: do without
		return "", raw, false
	}
	data = text.UTF8(data)
	if kind == bytesview.YAML || kind == bytesview.JSON || strings.HasSuffix(name, ".sh") {
		return kind, secret.New(rawRun(data, p)), rawRun(data, p) != ""
	}
	lines := strings.Split(string(data), "\n")
	if p.Line < 1 || p.Line > len(lines) {
		return "", raw, false
	}
	_, after, found := strings.Cut(strings.TrimSuffix(lines[p.Line-1], "\r"), "=")
	return kind, secret.New(after), found
}

// rawRun is what stands in the bytes of a part, if that is a value of its own on
// one line: no block of YAML, and no NAME=value in a list.
func rawRun(data []byte, p setting.Part) string {
	if p.Start < 1 || p.Start >= p.End || p.End > len(data) {
		return ""
	}
	raw, separator := string(data[p.Start:p.End]), ":"
	if strings.HasSuffix(strings.ToLower(p.File), ".sh") {
		separator = "="
	}
	before := strings.TrimRight(string(data[max(0, p.Start-80):p.Start]), " \t\r\n")
	if strings.Contains(raw, "\n") || strings.IndexByte("|>", raw[0]) >= 0 || !strings.HasSuffix(before, separator) {
		return ""
	}
	return raw
}

// bytes prints a view below a report.
func (g page) bytes(v *bytesview.View) {
	if v == nil {
		return
	}
	g.line("")
	g.line("%s", g.bold("bytes"))
	g.row("as sent", "%s  (%s, %s)", v.Masked, count(v.Characters, "character"), count(v.Bytes, "byte"))
	for i, sign := range v.Signs {
		label := ""
		if i == 0 {
			label = "wrong"
		}
		g.row(label, "%s", sign.String())
	}
	if len(v.Signs) == 0 {
		g.row("wrong", "nothing that can be seen in the bytes")
	}
	for i, r := range v.Readings {
		label := ""
		if i == 0 {
			label = "read by"
		}
		g.row(label, "%s: %s", r.Reader, r.Says)
	}
}
