package setting

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/credsmith/credsmith/internal/text"
)

// Passed counts files of unknown names that were not read.
type Passed struct {
	Binary int // they hold a zero byte
	Large  int // larger than 1 MiB
}

const (
	maxUnnamed = 1 << 20  // the largest file of an unknown name that is read
	headSize   = 64 << 10 // what of it must hold a name below
)

// telling are names that only settings of Entra ID have.
var telling = lazy(`AZURE_CLIENT_(?:ID|SECRET)|ARM_CLIENT_(?:ID|SECRET)|AzureAd\b|AzureAd__|spring\.cloud\.azure|ida:Client(?:Id|Secret)|MICROSOFT_ENTRA_ID_|AZURE_AD_CLIENT_|\bauth\.azuread\b`)

// prose are the endings of programs, documents and records, which name such
// keys and hold no settings.
var prose = []string{
	".go", ".py", ".ipynb", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".java", ".kt", ".scala", ".groovy", ".gradle", ".cs", ".fs", ".vb", ".cshtml", ".razor",
	".rb", ".php", ".rs", ".c", ".h", ".cc", ".cpp", ".hpp", ".swift", ".dart", ".ex", ".exs", ".lua", ".pl", ".r", ".ps1", ".psm1", ".bat", ".cmd", ".sql", ".proto",
	".md", ".mdx", ".rst", ".adoc", ".html", ".htm", ".css", ".scss", ".svg", ".vue", ".svelte", ".xsd", ".lock", ".sum", ".log", ".patch", ".diff", ".tpl", ".tmpl", ".txtar", ".map",
}

// unnamed reads a file whose name tells no kind, when its head names a key of
// Entra ID. Nothing is said of one that turns out to be no settings file.
func (s *session) unnamed(name string) {
	if slices.Contains(prose, strings.ToLower(path.Ext(name))) {
		return
	}
	data, ok := s.head(name)
	if !ok {
		return
	}
	key := string(telling().Find(data))
	if key == "" {
		return
	}
	data, err := s.load(name)
	if err != nil {
		s.fail(name, err)
		return
	}
	src, err := newSource(name, data)
	if err != nil {
		s.fail(name, err)
		return
	}
	kind := kindOf(src.text)
	s.recognised[name] = fmt.Sprintf("the file was recognised by its content: it holds %s and reads as %s", strings.Trim(key, "\"'=: \t\r\n"), kind)
	found, err := s.readAs(kind, src)
	if err == nil {
		s.result.Settings = append(s.result.Settings, found...)
	}
}

func (s *session) readAs(kind string, src *source) ([]Found, error) {
	i := slices.IndexFunc(readers(), func(r reader) bool { return r.kind == kind })
	return readers()[i].read(s, src)
}

// checkRecognised notes what is known by content alone, and keeps of it what
// can only be a setting: a client id that is one, or all three parts.
func (s *session) checkRecognised() {
	s.result.Settings = slices.DeleteFunc(s.result.Settings, func(f Found) bool {
		return s.recognised[f.place().File] != "" && !guid().MatchString(f.ClientID) && f.Client.Unresolved == "" && (!f.Secret.Set || !f.Client.Set || !f.Tenant.Set)
	})
	for i := range s.result.Settings {
		f := &s.result.Settings[i]
		if note := s.recognised[f.place().File]; note != "" {
			f.note("%s", note)
		}
	}
}

// head returns the beginning of a text file that is small enough to be
// settings. Others are counted.
func (s *session) head(name string) ([]byte, bool) {
	info, err := fs.Stat(s.fsys, name)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, false // a file that cannot be read is no settings file for certain
	}
	if info.Size() > maxUnnamed {
		s.result.Passed.Large++
		return nil, false
	}
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, headSize))
	if err != nil {
		return nil, false
	}
	data = text.UTF8(data)
	if bytes.IndexByte(data, 0) >= 0 {
		s.result.Passed.Binary++
		return nil, false
	}
	return data, true
}
