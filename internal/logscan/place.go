package logscan

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// place is where a failure was seen, as far as its line and its file say.
type place struct {
	file, environment, host, workload, pod, container string
}

// name is the narrowest thing that the place names beside its file, or "".
func (p place) name() string {
	switch {
	case p.pod != "":
		return p.pod
	case p.container != "" && p.host == "":
		return p.container
	}
	return p.host
}

// family is what replicas have in common: the workload, else the name of the
// pod or host without what tells them apart.
func (p place) family() string {
	if p.workload != "" && p.pod == "" {
		return p.workload
	}
	return trunk(p.name())
}

var (
	// podDirectory is .../pods/NAMESPACE_POD_UID/CONTAINER/0.log.
	podDirectory = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|/)pods/([a-z0-9-]+)_([a-z0-9.-]+)_[0-9a-f-]{8,36}/([a-z0-9-]+)/`)
	})
	// podFile is .../containers/POD_NAMESPACE_CONTAINER-ID.log.
	podFile = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:^|/)([a-z0-9.-]+)_([a-z0-9-]+)_([a-z0-9-]+)-[0-9a-f]{12,64}\.log`)
	})
	podPrefix = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^\[pod/([a-z0-9.-]+)/([a-z0-9-]+)\] `)
	})
	composePrefix = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^([a-z0-9][a-z0-9_.-]*-[0-9]+) +\| `)
	})
	syslogHost = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:<[0-9]{1,3}>)?(?:1 [0-9]{4}-[0-9-]{5}[Tt][0-9:.,Zz+-]+|[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}) ([A-Za-z0-9][A-Za-z0-9.:_-]*) ([A-Za-z0-9._/-]+)`)
	})
)

// placeOfFile is what the path of a log tells. Windows paths count as well.
func placeOfFile(name string) place {
	p := place{file: name, environment: environment(name)}
	slashed := strings.ReplaceAll(name, `\`, "/")
	if m := podDirectory().FindStringSubmatch(slashed); m != nil {
		p.workload, p.pod, p.container = m[1], m[2], m[3]
	} else if m := podFile().FindStringSubmatch(slashed); m != nil {
		p.pod, p.workload, p.container = m[1], m[2], m[3]
	}
	if p.environment == "" {
		p.environment = environment(p.workload)
	}
	return p
}

// in returns the place with what a line tells of it.
func (p place) in(line []byte) place {
	line = line[:min(len(line), before+after)]
	p.prefix(line)
	if !speaksOfPlace(line) {
		return p
	}
	for i, c := range line {
		if c != '=' && c != ':' {
			continue
		}
		if field := placeField(wordBefore(line[:i])); field != "" {
			if value := wordAfter(line[i+1:]); len(value) > 0 {
				p.set(field, masked(string(value)))
			}
		}
	}
	return p
}

// wordBefore is the key at the end of p: quotes and a space may follow it, and
// names such as kubernetes.pod_name have only their last part.
func wordBefore(p []byte) []byte {
	const longest = 24
	p = bytes.TrimRight(p[max(0, len(p)-longest):], `\" `)
	start := len(p)
	for start > 0 && (isLetter(p[start-1]) || p[start-1] == '_') {
		start--
	}
	return p[start:]
}

// wordAfter is the value at the start of p.
func wordAfter(p []byte) []byte {
	const longest = 128
	p = bytes.TrimLeft(p[:min(len(p), longest)], `\" `)
	end := 0
	for end < len(p) && (isLetter(p[end]) || isDigit(p[end]) || end > 0 && strings.IndexByte("._:/-~", p[end]) >= 0) {
		end++
	}
	return p[:end]
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// placeField is the field of a place that a key of a log tells.
func placeField(key []byte) string {
	switch string(key) {
	case "host", "hostname", "HOSTNAME", "_HOSTNAME", "Host", "cloud_RoleInstance", "AppRoleInstance", "Computer":
		return "host"
	case "pod", "pod_name", "podName", "PodName":
		return "pod"
	case "container", "container_name", "containerName", "CONTAINER_NAME", "ContainerName":
		return "container"
	case "namespace", "namespace_name", "_SYSTEMD_UNIT":
		return "workload"
	case "env", "environment", "Environment", "ENV":
		return "environment"
	}
	return ""
}

// prefix reads what kubectl, Docker Compose and syslog put before a line. The
// first bytes spare most lines the patterns.
func (p *place) prefix(line []byte) {
	const longest = 80
	switch {
	case bytes.HasPrefix(line, []byte("[pod/")):
		if m := podPrefix().FindSubmatch(line); m != nil {
			p.pod, p.container = string(m[1]), string(m[2])
		}
	case bytes.Contains(line[:min(len(line), longest)], []byte(" | ")):
		if m := composePrefix().FindSubmatch(line); m != nil {
			p.pod = string(m[1])
		}
	case len(line) > 3 && (line[0] == '<' || line[3] == ' '):
		if m := syslogHost().FindSubmatch(line); m != nil {
			p.host, p.workload = string(m[1]), strings.TrimRight(string(m[2]), "-")
		}
	}
}

// speaksOfPlace spares most lines the search for keys.
func speaksOfPlace(line []byte) bool {
	for _, word := range []string{"host", "HOST", "pod", "Pod", "env", "namespace", "ontainer", "RoleInstance", "_SYSTEMD"} {
		if bytes.Contains(line, []byte(word)) {
			return true
		}
	}
	return false
}

func (p *place) set(field, value string) {
	switch field {
	case "host":
		// The host of a token request is no place.
		if !strings.Contains(value, "login.") && !strings.Contains(value, "/") {
			p.host = value
		}
	case "pod":
		if !strings.Contains(value, "/") {
			p.pod = value
		}
	case "container":
		p.container = value
	case "workload":
		p.workload = value
		if env := environment(value); env != "" {
			p.environment = env
		}
	case "environment":
		p.environment = strings.ToLower(value)
	}
}

// block is the record around p[i] when its fields stand on lines of their own,
// as in the journal's export format; else the lines [start, end).
func block(p []byte, start, end int) []byte {
	if !bytes.HasPrefix(p[start:end], []byte("MESSAGE=")) {
		return p[start:end]
	}
	if i := bytes.LastIndex(p[:start], []byte("\n\n")); i >= 0 {
		start = i + 2
	} else {
		start = 0
	}
	if i := bytes.Index(p[end:], []byte("\n\n")); i >= 0 {
		end += i
	} else {
		end = len(p)
	}
	return p[start:end]
}

// trunk is a name without the part that tells replicas apart: the last part,
// and the hash of a replica set before it.
func trunk(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' })
	if len(parts) < 2 {
		return strings.TrimRight(name, "0123456789")
	}
	parts = parts[:len(parts)-1]
	if last := parts[len(parts)-1]; len(parts) > 1 && len(last) >= 5 && strings.ContainsAny(last, "0123456789") {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, "-")
}

var environmentNames = []string{"production", "prod", "prd", "staging", "stage", "stg", "preprod", "uat", "qa", "test", "development", "dev", "sandbox"}

// environment is the environment that a path names in a part of its own.
func environment(name string) string {
	for part := range strings.FieldsFuncSeq(strings.ToLower(name), func(r rune) bool { return !('a' <= r && r <= 'z') }) {
		if slices.Contains(environmentNames, part) {
			return part
		}
	}
	return ""
}

// family is a file name without the part that tells replicas apart.
func family(name string) string {
	base, _, _ := strings.Cut(path.Base(name), ".")
	if i := strings.LastIndexAny(base, "-_"); i > 0 {
		base = base[:i]
	}
	return base
}

// sighted notes where the lines around failures come from: what does not fail
// beside what does.
func (s *Scan) sighted(src *source, p []byte) {
	const groups, most = 64, 512
	if s.looked >= groups || len(s.sightings) >= most {
		return
	}
	s.looked++
	for line := range bytes.Lines(p) {
		at := src.place.in(line)
		if (at.name() != "" || at.environment != "") && len(s.sightings) < most {
			s.sightings[at] = struct{}{}
		}
	}
}

// masked is foreign text without client secrets.
func masked(text string) string {
	if !strings.Contains(text, "Q~") && !strings.Contains(text, "Q%7") {
		return text
	}
	return secretForm().ReplaceAllString(text, "[secret]")
}
