package file

import "golang.org/x/sys/unix"

func bindMount(source, name string) error { return unix.Mount(source, name, "", unix.MS_BIND, "") }

func unmount(name string) { _ = unix.Unmount(name, unix.MNT_DETACH) }
