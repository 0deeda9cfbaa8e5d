package bytesview

import (
	"fmt"
	"regexp"
	"sync"

	"github.com/credsmith/credsmith/internal/secret"
)

// Kinds of file a raw text can stand in.
const (
	Dotenv     = "dotenv"
	YAML       = "yaml"
	JSON       = "json"
	Properties = "properties"
	INI        = "ini"
)

// Where a rule comes from.
const (
	ran        = "ran"        // the program was run on the cases of the tests
	documented = "documented" // its documentation says so
	recalled   = "recalled"   // from recollection, unverified
)

// Reading is what one reader makes of the raw text, compared with the value
// that is sent.
type Reading struct {
	Reader          string `json:"reader"`           // "docker run --env-file"
	Source          string `json:"source"`           // "ran", "documented" or "recalled"
	Same            bool   `json:"same"`             // it hands over the value that is sent
	Bytes           int    `json:"bytes"`            // of what it hands over
	FirstDifference int    `json:"first_difference"` // byte from 1; 0 if there is none or nothing is handed over
	Refused         string `json:"refused,omitempty"`
	Expands         bool   `json:"expands"` // it replaces a $… in the text, taken here as empty
	Says            string `json:"says"`
}

// outcome is what a reader makes of a text.
type outcome struct {
	text    string
	refused string // why there is no text
	expands bool
}

// reader is one rule to read a value. The text is what follows the separator,
// up to the end of the line or, in quotes, of the value.
type reader struct {
	name, kind, source string
	read               func(raw string) outcome
}

// readers is the table. Rules marked ran agree with the programs in
// the TestReal tests, on thousands of drawn texts: dotenv 16 for Node.js,
// python-dotenv 1.2, dash, bash 5, go.yaml.in/yaml/v4, PyYAML 6, Python's json
// and java.util.Properties; godotenv 1.5.1 on the cases of TestReaders.
var readers = []reader{
	{"docker run --env-file", Dotenv, documented, dockerEnvFile},
	{"docker compose env_file", Dotenv, documented, composeEnvFile},
	{"dotenv (Node.js)", Dotenv, ran, nodeDotenv},
	{"python-dotenv", Dotenv, ran, pythonDotenv},
	{"godotenv", Dotenv, ran, godotenv},
	{"systemd EnvironmentFile", Dotenv, recalled, systemdFile},
	{"sh export", Dotenv, ran, shell},
	{"YAML", YAML, ran, yamlScalar},
	{"docker compose file", YAML, documented, composeFile},
	{"JSON", JSON, ran, jsonString},
	{"Java properties", Properties, ran, javaProperties},
	{"Grafana ini", INI, recalled, grafanaINI},
}

// maxRaw bounds a raw text: what is longer is no value.
const maxRaw = 64 << 10

// OfRaw returns the view of a value with what the readers of a kind of file
// make of its raw text; kind "" is all of them.
func OfRaw(v, raw secret.Value, kind string) View {
	view := Of(v)
	want, text := v.Reveal(), raw.Reveal()
	for _, r := range readers {
		if kind != "" && r.kind != kind {
			continue
		}
		got := outcome{refused: "the text is too long for a value"}
		if len(text) <= maxRaw {
			got = r.read(text)
		}
		view.Readings = append(view.Readings, compare(r, got, want))
	}
	return view
}

func compare(r reader, got outcome, want string) Reading {
	reading := Reading{Reader: r.name, Source: r.source, Refused: got.refused, Expands: got.expands}
	switch {
	case got.refused != "":
		reading.Says = "hands nothing over: " + got.refused
		return reading
	case got.text == want:
		reading.Same, reading.Bytes = true, len(got.text)
		reading.Says = fmt.Sprintf("the same %d bytes", len(got.text))
	default:
		same := 0
		for same < min(len(got.text), len(want)) && got.text[same] == want[same] {
			same++
		}
		reading.Bytes, reading.FirstDifference = len(got.text), same+1
		reading.Says = fmt.Sprintf("%d bytes where %d are sent, different from byte %d on", len(got.text), len(want), same+1)
	}
	if got.expands {
		reading.Says += "; it replaces a $… in the text, taken here as empty"
	}
	return reading
}

// pattern compiles a regular expression when it is first used.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

var (
	percentEscape = pattern(`^%[0-9A-Fa-f]{2}`)
	htmlEscape    = pattern(`^&(?:amp|lt|gt|quot|apos|#[0-9]{1,6}|#x[0-9A-Fa-f]{1,6});`)
	unicodeEscape = pattern(`^\\u[0-9A-Fa-f]{4}`)
	shortEscape   = pattern(`^\\[^ \t\r\n]`)
)
