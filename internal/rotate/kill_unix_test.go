//go:build unix

package rotate_test

import (
	"syscall"
	"time"
)

// kill ends a process as the kernel does when memory runs out. Of oneself it
// does not return.
func kill(pid int) {
	syscall.Kill(pid, syscall.SIGKILL)
	if pid == syscall.Getpid() {
		time.Sleep(time.Hour)
	}
}
