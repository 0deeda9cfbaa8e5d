package mail

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/credsmith/credsmith/entralab"
)

// command is one command of a client, with what a fault rule makes of it.
type command struct {
	surface, name string
	fault         entralab.ServiceFault
	recorded      bool
}

// errCut ends the library's work on a command whose connection is gone.
var errCut = errors.New("entralab/mail: the connection was cut by a fault")

// run serves a command with what goes wrong with it. refuse says how the
// protocol refuses for a while: by an error, or by a last line.
func (s *Server) run(c *command, over net.Conn, l login, refuse func(kind string) (status int, lastLine string, err error), serve func() error) error {
	line := lineOf(over)
	line.setPace(0)
	c.fault, c.recorded = s.lab.ServiceFault(entralab.Event{Surface: c.surface, Method: c.name, Path: l.address, AppID: l.client}), false
	unserved := func(status int) {
		s.lab.Record(entralab.Event{
			Surface: c.surface, Method: c.name, Path: l.address, AppID: l.client, Outcome: "fault", Fault: c.fault.Fault, Status: status,
		})
	}
	switch c.fault.Fault {
	case "":
		return serve()
	case "F7":
		status, last, err := refuse(c.fault.Kind)
		unserved(status)
		if last != "" {
			over.Write([]byte(last))
			line.Conn.Close()
		}
		return err
	case "F14":
		unserved(0)
		if c.fault.Kind == "answer" {
			over.Write([]byte(half[c.surface]))
		}
		line.Conn.Close()
		return errCut
	}
	if !s.lab.Pause(s.waiting, c.fault.Wait) {
		line.Conn.Close()
		return errCut
	}
	line.setPace(c.fault.BytesPerSecond)
	err := serve()
	if !c.recorded {
		s.record(c, l, err == nil, 0)
	}
	if c.fault.Fault == "F8" {
		line.Conn.Close()
		return errCut
	}
	return err
}

// half is what F14 leaves of an answer.
var half = map[string]string{"smtp": "25", "imap": "* OK [CAPABIL"}

// lineOf is the listener's connection below TLS.
func lineOf(c net.Conn) *conn {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	return c.(*conn)
}

// setPace makes the connection send so many bytes a second, 0 for all at once.
func (c *conn) setPace(perSecond int) {
	if int64(perSecond) != c.pace.Swap(int64(perSecond)) {
		c.Conn.SetWriteDeadline(time.Time{}) // the library sets the next
	}
}

// SetWriteDeadline does nothing while the connection drips.
func (c *conn) SetWriteDeadline(at time.Time) error {
	if c.pace.Load() > 0 {
		return nil
	}
	return c.Conn.SetWriteDeadline(at)
}

func (c *conn) Write(b []byte) (int, error) {
	if perSecond := int(c.pace.Load()); perSecond > 0 {
		return c.listener.drip(b, perSecond, c.Conn.Write)
	}
	return c.Conn.Write(b)
}
