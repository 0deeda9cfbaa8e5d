package logscan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/credsmith/credsmith/internal/secret"
)

var testNow = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

var testKey = func() secret.Key {
	key, _ := secret.KeyFrom(bytes.Repeat([]byte{7}, secret.KeySize))
	return key
}()

// corpus is a log with its truth.
type corpus struct {
	bytes.Buffer
	rnd         *rand.Rand
	now         time.Time
	failures    map[string]map[int]int64
	occurrences int64
	secrets     int
}

func newCorpus(seed uint64) *corpus {
	return &corpus{rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), failures: map[string]map[int]int64{}}
}

func (c *corpus) guid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", c.rnd.Uint32(), c.rnd.IntN(1<<16), c.rnd.IntN(1<<12), c.rnd.IntN(1<<12), c.rnd.Int64N(1<<48))
}

func (c *corpus) count(app string, code int, printed int64) {
	if c.failures[app] == nil {
		c.failures[app] = map[int]int64{}
	}
	c.failures[app][code]++
	c.occurrences += printed
}

func (c *corpus) filler(lines int) {
	for range lines {
		c.now = c.now.Add(time.Duration(c.rnd.IntN(900)) * time.Millisecond)
		fmt.Fprintf(c, "%s INFO order %d cached, status_code=200 id=%s\n", c.now.Format("2006-01-02T15:04:05.000Z"), c.rnd.IntN(1e6), c.guid())
	}
}

// event writes one failure in one of the ways that logs have.
func (c *corpus) event(apps []string) {
	app := apps[c.rnd.IntN(len(apps))]
	code := []int{7000215, 7000222, 700016}[c.rnd.IntN(3)]
	trace, corr := c.guid(), c.guid()
	stamp := c.now.Format("2006-01-02 15:04:05Z")
	at := c.now.Format("2006-01-02T15:04:05.000Z")
	message := fmt.Sprintf("AADSTS%d: No sign-in for app '%s'. Trace ID: %s Correlation ID: %s Timestamp: %s", code, app, trace, corr, stamp)
	switch c.rnd.IntN(9) {
	case 0:
		fmt.Fprintf(c, "%s ERROR %s\n", at, message)
		c.count(app, code, 1)
	case 1: // lower case
		fmt.Fprintf(c, "%s ERROR %s\n", at, strings.ToLower(message[:9])+message[9:])
		c.count(app, code, 1)
	case 2: // nested exceptions
		fmt.Fprintf(c, "%s ERROR outer: %s\n\tat some.Frame(Frame.java:12)\nCaused by: inner: %s\n\tat other.Frame(Frame.java:99)\nCaused by: %s\n", at, message, message, message)
		c.count(app, code, 3)
	case 3: // retries: the client prints one answer again, far apart
		fmt.Fprintf(c, "%s WARN will retry: %s\n", at, message)
		c.filler(150)
		fmt.Fprintf(c, "%s ERROR gave up: %s\n", c.now.Format("2006-01-02T15:04:05.000Z"), message)
		c.count(app, code, 2)
	case 4: // the body alone, without the description
		fmt.Fprintf(c, `{"ts":"%s","msg":"token refused","client_id":"%s","body":{"error":"invalid_client","error_codes":[%d],"trace_id":"%s","correlation_id":"%s"}}`+"\n", at, app, code, trace, corr)
		c.count(app, code, 0)
	case 5: // no code
		fmt.Fprintf(c, "%s ERROR OAuthCallbackError: OAuth Provider returned an error: invalid_client\n", at)
		c.count("", 0, 0)
	case 6: // no body
		fmt.Fprintf(c, "%s ERROR An error occurred while attempting to retrieve the OAuth 2.0 Access Token Response: 401 Unauthorized: [no body]\n", at)
		c.count("", 0, 0)
	case 7: // a diagnostic export
		if code == 700016 {
			code = 7000222
		}
		fmt.Fprintf(c, `{"time":"%s","category":"ServicePrincipalSignInLogs","resultType":"%d","correlationId":"%s","properties":{"id":"%s","appId":"%s","status":{"errorCode":%d}}}`+"\n", at, code, corr, c.guid(), app, code)
		c.count(app, code, 0)
	default: // a secret in a form body
		fmt.Fprintf(c, "%s DEBUG POST grant_type=client_credentials&client_id=%s&client_secret=abc8Q%%7E%030d.x_-Z&scope=x\n", at, app, c.secrets)
		c.secrets++
	}
}

func (c *corpus) check(t *testing.T, r Result) {
	t.Helper()
	got := map[string]map[int]int64{}
	for _, app := range r.Apps {
		got[app.AppID] = map[int]int64{}
		for code, n := range app.Codes {
			var number int
			fmt.Sscan(code, &number)
			got[app.AppID][number] = n
		}
	}
	if !reflect.DeepEqual(got, c.failures) {
		t.Errorf("failures %v, want %v", got, c.failures)
	}
	if r.Occurrences != c.occurrences || len(r.Secrets) != c.secrets {
		t.Errorf("%d occurrences and %d secrets, want %d and %d", r.Occurrences, len(r.Secrets), c.occurrences, c.secrets)
	}
	if want := int64(bytes.Count(c.Bytes(), newline)); r.Lines != want || r.Bytes != int64(c.Len()) {
		t.Errorf("%d lines, %d bytes, want %d, %d", r.Lines, r.Bytes, want, c.Len())
	}
}

func build(seed uint64, events int) *corpus {
	c := newCorpus(seed)
	apps := []string{c.guid(), c.guid(), c.guid()}
	for range events {
		c.filler(c.rnd.IntN(40))
		c.event(apps)
	}
	return c
}

func scanWith(t *testing.T, block int, read func(*Scan) error) Result {
	t.Helper()
	s := New(Options{Now: testNow, Key: testKey, blockSize: block})
	s.Source("log")
	if err := read(s); err != nil {
		t.Fatal(err)
	}
	return s.Result()
}

func TestCountsEqualTheTruth(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		c := build(seed, 300)
		c.check(t, scanWith(t, 0, func(s *Scan) error {
			return s.File(t.Context(), "log", bytes.NewReader(c.Bytes()), int64(c.Len()))
		}))
		c.check(t, scanWith(t, 0, func(s *Scan) error { return s.Reader(t.Context(), "log", bytes.NewReader(c.Bytes())) }))
	}
}

// TestSeams: what is found does not depend on where blocks end.
func TestSeams(t *testing.T) {
	t.Parallel()
	c := build(42, 60)
	want := scanWith(t, 0, func(s *Scan) error {
		return s.File(t.Context(), "log", bytes.NewReader(c.Bytes()), int64(c.Len()))
	})
	c.check(t, want)
	for _, block := range []int{1, 2, 3, 5, 7, 13, 31, 32, 33, 63, 64, 100, 511, 4096, 6144, 65536} {
		file := scanWith(t, block, func(s *Scan) error {
			return s.File(t.Context(), "log", bytes.NewReader(c.Bytes()), int64(c.Len()))
		})
		stream := scanWith(t, block, func(s *Scan) error { return s.Reader(t.Context(), "log", bytes.NewReader(c.Bytes())) })
		if !reflect.DeepEqual(file, want) {
			t.Errorf("blocks of %d: a file gives %+v, want %+v", block, file, want)
		}
		if !reflect.DeepEqual(stream, want) {
			t.Errorf("blocks of %d: a stream gives %+v, want %+v", block, stream, want)
		}
	}
}

func TestDenseFailuresAcrossGroups(t *testing.T) {
	t.Parallel()
	c := newCorpus(9)
	apps := []string{c.guid(), c.guid()}
	for range 3000 {
		c.event(apps)
		c.now = c.now.Add(time.Second)
	}
	for _, block := range []int{1000, 0} {
		c.check(t, scanWith(t, block, func(s *Scan) error { return s.Reader(t.Context(), "log", bytes.NewReader(c.Bytes())) }))
	}
}

func TestBrokenInput(t *testing.T) {
	t.Parallel()
	c := build(3, 50)
	t.Run("a stream that breaks off keeps what came before", func(t *testing.T) {
		t.Parallel()
		s := New(Options{Now: testNow, Key: testKey})
		broken := io.MultiReader(bytes.NewReader(c.Bytes()), iotest.ErrReader(io.ErrUnexpectedEOF))
		if err := s.Reader(t.Context(), "log", broken); err == nil || err.Error() != "read log: unexpected EOF" {
			t.Errorf("error %v", err)
		}
		c.check(t, s.Result())
	})
	t.Run("a file that shrinks", func(t *testing.T) {
		t.Parallel()
		s := New(Options{Now: testNow, Key: testKey})
		err := s.File(t.Context(), "log", bytes.NewReader(c.Bytes()), int64(c.Len())+100)
		if err == nil || err.Error() != "read log: "+ErrShrank.Error() {
			t.Errorf("error %v", err)
		}
		c.check(t, s.Result())
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := New(Options{Now: testNow})
		if err := s.Reader(ctx, "log", bytes.NewReader(c.Bytes())); err != context.Canceled {
			t.Errorf("stream: %v", err)
		}
	})
	t.Run("one line of 20 MB", func(t *testing.T) {
		t.Parallel()
		var long bytes.Buffer
		long.Write(bytes.Repeat([]byte("x"), 10<<20))
		long.Write([]byte(" AADSTS7000215: bad "))
		long.Write(bytes.Repeat([]byte("\x00\xff"), 5<<20))
		r := scanWith(t, 0, func(s *Scan) error { return s.Reader(t.Context(), "log", &long) })
		if r.Failures != 1 || r.Lines != 0 {
			t.Errorf("%d failures, %d lines", r.Failures, r.Lines)
		}
	})
}

func TestRecentForgetsOnlyTheOldest(t *testing.T) {
	t.Parallel()
	var r recent
	draw, keys := rand.New(rand.NewPCG(1, 2)), make([]uint64, 3*maxRecent) // keys are hashes: neighbours would stand in one long row
	for i := range keys {
		keys[i] = draw.Uint64()
		if r.add(keys[i]) {
			t.Fatalf("key %d is known before it was added", i)
		}
	}
	if !r.add(keys[2*maxRecent]) {
		t.Error("a key among the last was forgotten")
	}
	if n := r.young.n + r.old.n; n > 2*maxRecent {
		t.Errorf("%d keys are kept", n)
	}
}

func FuzzSeams(f *testing.F) {
	f.Add(build(1, 12).Bytes(), 7)
	f.Add([]byte("401 token [no body]\n\"resultType\":\"7000222\" abc8Q~0123456789012345678901234567890123"), 1)
	f.Fuzz(func(t *testing.T, log []byte, block int) {
		block = min(max(block, 1), 1<<16)
		want := scanWith(t, 0, func(s *Scan) error { return s.Reader(t.Context(), "log", bytes.NewReader(log)) })
		got := scanWith(t, block, func(s *Scan) error { return s.Reader(t.Context(), "log", bytes.NewReader(log)) })
		file := scanWith(t, block, func(s *Scan) error {
			return s.File(t.Context(), "log", bytes.NewReader(log), int64(len(log)))
		})
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(file, want) {
			t.Fatalf("whole %+v\nblocks of %d %+v\nfile %+v", want, block, got, file)
		}
	})
}

func BenchmarkFile(b *testing.B) {
	c := newCorpus(5)
	apps := []string{c.guid(), c.guid()}
	for c.Len() < 16<<20 {
		c.filler(2000)
		c.event(apps)
	}
	for b.Loop() {
		s := New(Options{Now: testNow, Key: testKey})
		if err := s.File(b.Context(), "log", bytes.NewReader(c.Bytes()), int64(c.Len())); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(c.Len()))
}

// A stack trace names the OAuth error of its own failure again.
func TestOneRecordIsOneFailure(t *testing.T) {
	t.Parallel()
	frames := strings.Repeat("\tat com.example.orders.OrderService.process(OrderService.java:12)\n", 25)
	record := "2026-01-02T03:04:05Z ERROR AADSTS7000215: Bad secret.\n" + frames + "\tinner: invalid_client\n"
	for _, test := range []struct {
		log  string
		want int64
	}{
		{record, 1},
		{record + "2026-01-02T03:04:09Z ERROR OAuth Provider returned an error: invalid_client\n", 2},
	} {
		r := scanWith(t, 0, func(s *Scan) error { return s.Reader(t.Context(), "log", strings.NewReader(test.log)) })
		if r.Failures != test.want {
			t.Errorf("%d failures %+v, want %d", r.Failures, r.Codes, test.want)
		}
	}
}
