package setting

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxFile is the largest file that is read.
const maxFile = 10 << 20

// Result is what was found, in the order of the walk and of the lines, and
// what could not be read. An error does not stop the rest.
type Result struct {
	Settings []Found
	Errors   []*Error
	Passed   Passed
}

// session is one call of [Find].
type session struct {
	fsys       fs.FS
	result     Result
	manifests  map[string][]*node // Kubernetes documents by directory
	modules    map[string]*module // Terraform files by directory
	units      map[string][]*source
	piles      map[string]*pile
	recognised map[string]string // files of unknown names: how they were known
	included   map[string]bool   // files of which a compose file takes what it names
	imported   map[string]bool   // files that a unit or a Spring file reads whole
	circles    map[string]bool   // compose services whose extends goes round
}

// hint tells files that can hold a setting from those that are not parsed.
var hint = lazy(`(?i)client.?(id|secret)|tenant|app.?(id|secret)|application.?(id|secret)|ida:|entra.?id|azure|creds|envFrom|KeyRef|env(ironment)?_?file|configtree:|optional:file|import: *file`)

var skipped = []string{".git", "node_modules", "vendor", ".terraform", ".venv"}

// Find reads every settings file under the roots, which are slash-separated
// paths in fsys and may be files. Symbolic links are not followed, except a
// root. Only an ended context is returned as an error.
func Find(ctx context.Context, fsys fs.FS, roots ...string) (Result, error) {
	s := &session{fsys: fsys, manifests: map[string][]*node{}, included: map[string]bool{}, imported: map[string]bool{}, circles: map[string]bool{}, modules: map[string]*module{}, units: map[string][]*source{}, piles: map[string]*pile{}, recognised: map[string]string{}}
	seen := map[string]int{} // files in the order of the walk
	for _, root := range roots {
		err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			switch {
			case err != nil:
				s.fail(name, err)
				return nil
			case d.IsDir():
				if name != root && slices.Contains(skipped, d.Name()) {
					return fs.SkipDir
				}
				return nil
			case seen[name] > 0 || name != root && !d.Type().IsRegular():
				return nil
			}
			seen[name] = len(seen) + 1
			if name != root && example(path.Base(name)) {
				return nil
			}
			s.file(name, name == root)
			return nil
		})
		if err != nil {
			return Result{}, err
		}
	}
	s.kubernetes()
	s.terraform()
	s.resolveUnits()
	s.resolveLayers()
	s.checkRecognised()
	s.dropIncluded()
	s.joinDirectories()
	slices.SortStableFunc(s.result.Settings, func(a, b Found) int {
		p, q := a.place(), b.place()
		return cmp.Or(seen[p.File]-seen[q.File], p.Line-q.Line, p.Column-q.Column)
	})
	slices.SortStableFunc(s.result.Errors, func(a, b *Error) int { return strings.Compare(a.File, b.File) })
	return s.result, nil
}

// Prefix puts a directory before the name of every file, as for roots inside
// a larger tree. "." changes nothing.
func (r *Result) Prefix(dir string) {
	if dir == "." {
		return
	}
	for i := range r.Settings {
		f := &r.Settings[i]
		for _, p := range []*Part{&f.Tenant, &f.Client, &f.Secret, &f.Host} {
			if p.Set {
				p.File = path.Join(dir, p.File)
			}
		}
		f.Origin = path.Join(dir, f.Origin)
		if f.Environment == "" {
			f.Environment = EnvironmentOf(dir)
		}
	}
	for _, e := range r.Errors {
		e.File = path.Join(dir, e.File)
	}
}

func (s *session) fail(name string, err error) {
	if e, ok := errors.AsType[*Error](err); ok {
		s.result.Errors = append(s.result.Errors, e)
		return
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	s.result.Errors = append(s.result.Errors, &Error{File: name, Err: err})
}

// file reads one file. One that was named is read whatever it is called: its
// content then tells the kind.
func (s *session) file(name string, given bool) {
	lower := strings.ToLower(name)
	i := slices.IndexFunc(readers(), func(r reader) bool { return r.match(lower) })
	if i < 0 && !given {
		s.unnamed(name)
		return
	}
	data, err := s.load(name)
	if err != nil {
		s.fail(name, err)
		return
	}
	// A variable of Terraform may have any name, so all of its files count.
	if (i < 0 || readers()[i].kind != "terraform") && !wanted(data) {
		return
	}
	src, err := newSource(name, data)
	if err != nil {
		s.fail(name, err)
		return
	}
	kind := kindOf(src.text)
	if i >= 0 {
		kind = readers()[i].kind
	}
	found, err := s.readAs(kind, src)
	if err != nil {
		s.fail(name, err)
	}
	if src.transcoded {
		for i := range found {
			found[i].note("the file is UTF-16: positions are those of its text in UTF-8")
		}
	}
	s.result.Settings = append(s.result.Settings, found...)
}

// wanted reports whether data can hold a setting, in whatever encoding.
func wanted(data []byte) bool {
	marked := bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff})
	return marked || hint().Match(data) || bytes.IndexByte(data, 0) >= 0 && hint().Match(bytes.ReplaceAll(data, []byte{0}, nil))
}

// example knows files that show which settings there are and hold none.
func example(base string) bool {
	for word := range strings.SplitSeq(strings.ToLower(base), ".") {
		if slices.Contains([]string{"example", "sample", "template", "dist", "tmpl", "tpl"}, word) {
			return true
		}
	}
	return false
}

// dropIncluded leaves out what a file holds that another one reads: it is one
// setting, not two. Of the .env beside a compose file only what a service takes
// is left out.
func (s *session) dropIncluded() {
	parts := func(f Found) [3]Part { return [3]Part{f.Tenant, f.Client, f.Secret} }
	used := map[Part]bool{}
	including := func(f Found) bool { return slices.Contains([]string{"compose", "systemd", "spring"}, f.Consumer) }
	for _, f := range s.result.Settings {
		if !including(f) {
			continue
		}
		for _, p := range parts(f) {
			used[p] = true
		}
	}
	s.result.Settings = slices.DeleteFunc(s.result.Settings, func(f Found) bool {
		for _, p := range parts(f) {
			if p.Set && !s.imported[p.File] && (!s.included[p.File] || !used[p]) {
				return false
			}
		}
		return !including(f)
	})
}

// load reads a whole file, bounded also when it grows while it is read.
func (s *session) load(name string) ([]byte, error) {
	info, err := fs.Stat(s.fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file and was not read")
	}
	tooLarge := fmt.Errorf("is larger than %d MiB and was not read", maxFile>>20)
	if info.Size() > maxFile {
		return nil, tooLarge
	}
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = tooLarge
	}
	return data, err
}

// joinDirectories pairs partial settings of one directory and environment.
func (s *session) joinDirectories() {
	type place struct{ dir, environment string }
	groups := map[place][]Found{}
	var order []place
	for _, f := range s.result.Settings {
		at := place{path.Dir(f.place().File), f.Environment}
		if groups[at] == nil {
			order = append(order, at)
		}
		groups[at] = append(groups[at], f)
	}
	s.result.Settings = nil
	for _, at := range order {
		joined := join(groups[at], at.dir)
		for i := range joined {
			f := &joined[i]
			f.Notes = slices.DeleteFunc(f.Notes, func(n string) bool { return strings.HasPrefix(n, "no ") && strings.HasSuffix(n, " found beside it") })
			f.finish()
		}
		s.result.Settings = append(s.result.Settings, joined...)
	}
}
