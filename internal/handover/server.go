package handover

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"
)

// Server waits for the process that will take over.
type Server struct {
	listener *net.UnixListener
	path     string
	own      os.FileInfo
}

// Listen waits at a path, mode 0600, or at a name in the abstract namespace that
// begins with "@". The latest to listen at a path has it, so that the next process
// can listen there before this one has closed; an abstract name must be closed first.
func Listen(path string) (*Server, error) {
	l, err := listenAt(path)
	if err != nil {
		return nil, err
	}
	return &Server{l, path, identity(path)}, nil
}

// Accept waits for a process that wants to take over, until ctx is done. When one has
// come, say tells what this one says of itself. The caller closes the Giver. An error that is not ctx's, nor net.ErrClosed, concerns
// only the process that has tried: log it, and call again.
func (s *Server) Accept(ctx context.Context, say func() Options) (*Giver, error) {
	conn, err := accept(ctx, s.listener)
	if err != nil {
		return nil, err
	}
	o := say()
	g := &Giver{link: link{conn, o.step()}, ready: o.ready()}
	if g.pid, err = checkPeer(conn); err == nil {
		g.peer, err = g.link.greet(roleGiver, roleTaker, &o)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("a process that wants to take over: %w", err)
	}
	return g, nil
}

// accept is AcceptUnix that ends with ctx. The deadline is what wakes it; it is
// taken back first, as an earlier call may have left one.
func accept(ctx context.Context, l *net.UnixListener) (*net.UnixConn, error) {
	if err := l.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("waiting for another process: %w", err)
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		l.SetDeadline(time.Unix(1, 0))
		close(woken)
	})
	defer func() {
		if !stop() {
			<-woken // or it would end the next accept
		}
	}()
	conn, err := l.AcceptUnix()
	if ctx.Err() != nil {
		if err == nil {
			conn.Close()
		}
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for another process: %w", err)
	}
	return conn, nil
}

// Close ends an Accept that waits, and removes the socket's file unless another
// process listens there.
func (s *Server) Close() error {
	removeIfSame(s.path, s.own)
	return s.listener.Close()
}
