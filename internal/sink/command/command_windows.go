package command

import (
	"os"
	"os/exec"
)

// group does nothing: here only the program itself is killed.
func group(*exec.Cmd) {}

func killGroup(*exec.Cmd) {}

// safe asks only that the program is there: who may write it is in access
// lists here, which a mode does not show.
func safe(program string) error {
	info, err := os.Stat(program)
	if err == nil && !info.Mode().IsRegular() {
		return &Unsafe{program + " is no program", "name a program"}
	}
	return err
}
