package file

import (
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		format Format
		c      Config
		says   string
	}{
		{"toml", Config{File: "/a", Key: "b"}, "no file format"},
		{Dotenv, Config{Key: "b"}, "file: is missing"},
		{Dotenv, Config{File: "a", Key: "b"}, "file: \"a\" is not an absolute path"},
		{Dotenv, Config{File: "/a"}, "key: is missing"},
		{Dotenv, Config{File: "/a", Key: "A B"}, "key: \"A B\" is no name of a variable"},
		{Dotenv, Config{File: "/a", Key: "A\n"}, "key: \"A\\n\" holds a character that cannot be seen"},
		{JSON, Config{File: "/a", Key: "a..b"}, "key: \"a..b\" has an empty part"},
		{YAML, Config{File: "/a", Key: "/a~2"}, "key: \"/a~2\" has a ~"},
		{INI, Config{File: "/a", Key: "a.b=c"}, "key: \"a.b=c\" is no section.name"},
	} {
		if _, err := New(tt.format, tt.c); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("New(%q, %+v) = %v, want %q", tt.format, tt.c, err, tt.says)
		}
	}
	s, err := New(Dotenv, Config{File: "/srv/billing/../billing/.env", Key: "AZURE_CLIENT_SECRET"})
	if err != nil || s.Ref() != "dotenv:/srv/billing/.env#AZURE_CLIENT_SECRET" {
		t.Errorf("Ref() = %q, %v", s.Ref(), err)
	}
}
