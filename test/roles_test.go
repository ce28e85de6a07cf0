package test

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// rolePipes takes up the pipe memory that its user may have.
const rolePipes = "pipes"

// roleGreet is a server that greets at each address of its arguments.
const roleGreet = "greet"

// roleApplication is greet as a program. After SIGUSR1 it goes on to accept and
// says nothing, not even the end; after SIGUSR2 it greets again.
const roleApplication = "application"

// addressVar is where the application listens.
const addressVar = "SLUICE_TEST_ADDRESS"

// play is main of the test binary in a role.
func play(role string) int {
	switch role {
	case rolePipes:
		return takePipes()
	case roleHealthy:
		return beHealthy()
	case roleNames:
		return beNames()
	case roleGreet:
		return greetAt(os.Args[1:])
	case roleApplication:
		return beApplication()
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

func beApplication() int {
	l, err := net.Listen("tcp", os.Getenv(addressVar))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var mute atomic.Bool
	moods := make(chan os.Signal, 1)
	signal.Notify(moods, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for mood := range moods {
			mute.Store(mood == syscall.SIGUSR1)
			fmt.Println("got", mood)
		}
	}()
	var held []net.Conn
	for {
		conn, err := l.Accept()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		if mute.Load() {
			held = append(held, conn)
			continue
		}
		for _, silent := range held {
			silent.Close()
		}
		held = nil
		go func() {
			defer conn.Close()
			greet(conn.(*net.TCPConn))
		}()
	}
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
