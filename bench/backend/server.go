package backend

import (
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/internal/eventloop"
	"github.com/sluiceproxy/sluice/internal/sock"
)

// Server serves until Close.
type Server struct {
	addr    netip.AddrPort
	workers []*worker
}

// Stats is what a Server has seen.
type Stats struct {
	Connections uint64 // accepted
	Strangers   uint64 // of those, closed because they did not begin with a Hello
	Open        int    // at the moment
}

// Serve listens on addr and serves with one thread for each of loops (0 counts
// as 1), each with a listening socket of its own. Port 0 takes a free one. The
// caller calls Close. Errors name the address.
func Serve(addr netip.AddrPort, loops int) (*Server, error) {
	s := &Server{addr: addr}
	for range max(loops, 1) {
		if err := s.start(); err != nil {
			s.Close()
			return nil, fmt.Errorf("starting the backend on %s: %w", addr, err)
		}
	}
	return s, nil
}

func (s *Server) start() error {
	fd, err := sock.Listen(s.addr, sock.ListenOptions{ReusePort: true})
	if err != nil {
		return err
	}
	s.addr = sock.LocalAddr(fd)
	loop, err := eventloop.New(eventloop.Options{})
	if err != nil {
		sock.Close(fd)
		return err
	}
	w := newWorker(loop, fd)
	s.workers = append(s.workers, w)
	go loop.Run()
	var errno sock.Errno
	loop.Do(func() { errno = w.listen() })
	if errno != 0 {
		return fmt.Errorf("watching the listening socket: %w", errno)
	}
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Stats asks all loops for what they have seen.
func (s *Server) Stats() Stats {
	var sum Stats
	for _, w := range s.workers {
		w.loop.Do(func() {
			sum.Connections += w.stats.Connections
			sum.Strangers += w.stats.Strangers
			sum.Open += len(w.conns)
		})
	}
	return sum
}

// Close closes the listening sockets and all connections, and waits for the
// loops to end.
func (s *Server) Close() {
	for _, w := range s.workers {
		w.loop.Do(w.close)
		w.loop.Stop()
	}
	s.workers = nil
}
