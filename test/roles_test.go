package test

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// rolePipes takes up the pipe memory that its user may have.
const rolePipes = "pipes"

// roleGreet is a server that greets at each address of its arguments.
const roleGreet = "greet"

// play is main of the test binary in a role.
func play(role string) int {
	switch role {
	case rolePipes:
		return takePipes()
	case roleGreet:
		return greetAt(os.Args[1:])
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

// greetAt greets until it is killed.
func greetAt(addresses []string) int {
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					fmt.Println(err)
					return
				}
				go func() {
					defer conn.Close()
					greet(conn.(*net.TCPConn))
				}()
			}
		}()
	}
	fmt.Println("listening")
	select {}
}
