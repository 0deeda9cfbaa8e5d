//go:build !windows

package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// group gives the program a process group, so that its children end with it.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// safe refuses a program that somebody else could have written.
func safe(program string) error {
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	mode := info.Mode()
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	switch {
	case !mode.IsRegular():
		return &Unsafe{program + " is no program", "name a program"}
	case mode.Perm()&0o111 == 0:
		return &Unsafe{program + " is not executable", "run chmod +x " + program}
	case mode.Perm()&0o022 != 0:
		return &Unsafe{fmt.Sprintf("other users can write %s (mode %04o)", program, mode.Perm()), "run chmod go-w " + program}
	case owner != 0 && owner != os.Geteuid():
		return &Unsafe{fmt.Sprintf("%s belongs to user %d", program, owner), "give it to root or to credsmith's user"}
	}
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return err
	}
	for dir := filepath.Dir(real); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return &Unsafe{fmt.Sprintf("every user can write the folder %s", dir), "run chmod o-w " + dir}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}
