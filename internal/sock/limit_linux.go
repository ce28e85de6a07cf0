package sock

import "golang.org/x/sys/unix"

// DescriptorLimit is how many descriptors the process may have open, and 0 when
// the kernel does not tell. The Go runtime has raised it to one below the hard limit at
// start (getrlimit(2), RLIMIT_NOFILE).
func DescriptorLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}
