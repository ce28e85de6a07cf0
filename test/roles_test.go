package test

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// rolePipes takes up the pipe memory that its user may have.
const rolePipes = "pipes"

// play is main of the test binary in a role.
func play(role string) int {
	switch role {
	case rolePipes:
		return takePipes()
	case roleHealthy:
		return beHealthy()
	case roleNames:
		return beNames()
	}
	fmt.Fprintln(os.Stderr, "no such role:", role)
	return 1
}

// takePipes makes pipes of the largest size until the kernel gives this user
// no more than the smallest (pipe(7), pipe-user-pages-soft), and holds them
// until it is killed.
func takePipes() int {
	const size, smallest = 1 << 20, 2 * 4096
	for {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			fmt.Println("pipe2:", err)
			return 1
		}
		if _, err := unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, size); err == nil {
			continue
		}
		if have, err := unix.FcntlInt(uintptr(ends[0]), unix.F_GETPIPE_SZ, 0); err != nil || have <= smallest {
			break
		}
	}
	fmt.Println("holding")
	select {}
}
