package standin

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/credsmith/credsmith/internal/request"
)

type fixedListener struct{ net.Listener }

func (fixedListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// ServeOnce answers one request without a socket. Whatever it is, the answer
// is JSON and no failure of the server.
func ServeOnce(t *testing.T, req *http.Request) {
	t.Helper()
	r := &run{server: &Server{fixedListener{}, make(chan struct{}, 1)}, done: make(chan error, 1), seen: func(request.Report) error { return nil }}
	w := httptest.NewRecorder()
	r.serve(w, req)
	if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("HTTP %d: %s", w.Code, w.Body)
	}
}
