package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// widen asks for a larger pipe: fewer turns between the writer and us. Where
// it is refused the pipe stays as it is.
func widen(in io.Reader) {
	const size = 1 << 20
	if f, ok := in.(*os.File); ok {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, size)
	}
}
