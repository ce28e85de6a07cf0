package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/sock"
)

// Limits of each server. A client that is slower than this, or holds more
// connections, is cut off, so that a stuck scraper costs nothing lasting.
const (
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 16 << 10
	maxConnections = 64
	maxBodyBytes   = 64 << 10
)

// Server is one HTTP server on one address.
type Server struct {
	address string
	key     string // of the configuration, for messages
	log     *zap.Logger
	http    *http.Server
	socket  net.Listener
	shared  bool // another process has the socket too
}

func newServer(address, key string, log *zap.Logger, handler http.Handler) *Server {
	return &Server{
		address: address, key: key, log: log,
		http: &http.Server{
			Handler:           http.MaxBytesHandler(handler, maxBodyBytes),
			ReadHeaderTimeout: readTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          zap.NewStdLog(log),
		},
	}
}

// Listen listens on the server's address. Whoever connects waits until Serve. It is
// called once, or Adopt is.
func (s *Server) Listen() error {
	socket, err := listen(s.address)
	if err != nil {
		return fmt.Errorf("listen on %s (%s): %w%s", s.address, s.key, err, advice(s.address, err))
	}
	s.socket = socket
	return nil
}

// Adopt is Listen for a listening socket that another process has made on the
// server's address. The descriptor is the server's afterwards, also with an error.
func (s *Server) Adopt(fd int) error {
	file := os.NewFile(uintptr(fd), s.address)
	defer file.Close()
	socket, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("listen on %s (%s) with the socket of another process: %w", s.address, s.key, err)
	}
	s.socket = socket
	return nil
}

// Serve answers in the background until Shutdown. The server listens already.
func (s *Server) Serve() {
	limited := limitConnections(s.socket, maxConnections)
	go func() {
		if err := s.http.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("server stopped", zap.String("address", s.address), zap.String("key", s.key), zap.Error(err))
		}
	}()
}

// Start is Listen and Serve.
func (s *Server) Start() error {
	err := s.Listen()
	if err == nil {
		s.Serve()
	}
	return err
}

// Address is where the server listens, as the configuration says it.
func (s *Server) Address() string { return s.address }

// Key is the key of the configuration that has the address.
func (s *Server) Key() string { return s.key }

// Descriptor is a duplicate of the listening socket, for another process. The caller
// owns it.
func (s *Server) Descriptor() (int, error) {
	fd, err := duplicate(s.socket)
	if err != nil {
		return -1, fmt.Errorf("hand the socket on %s (%s) over: %w", s.address, s.key, err)
	}
	return fd, nil
}

// duplicate leaves the descriptor non-blocking, which os.File's Fd would not.
func duplicate(socket net.Listener) (fd int, err error) {
	source, ok := socket.(interface{ File() (*os.File, error) })
	if !ok {
		return -1, errors.ErrUnsupported
	}
	file, err := source.File()
	if err != nil {
		return -1, err
	}
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	var errno sock.Errno
	if err := raw.Control(func(own uintptr) { fd, errno = sock.Duplicate(int(own)) }); err != nil {
		return -1, err
	}
	if errno != 0 {
		return -1, errno
	}
	return fd, nil
}

// Share says that another process serves the socket from now on: Shutdown leaves a
// unix socket's path to it.
func (s *Server) Share() { s.shared = true }

// Addr is where a started server listens.
func (s *Server) Addr() net.Addr { return s.socket.Addr() }

// Shutdown stops listening and waits for requests under way, until ctx ends;
// what is left is cut off. A server that was never started is fine.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("shut down %s (%s): %w", s.address, s.key, errors.Join(err, s.http.Close()))
	}
	if s.socket == nil {
		return err
	}
	if closing := s.socket.Close(); !errors.Is(closing, net.ErrClosed) { // Serve was never called
		err = errors.Join(err, closing)
	}
	if path, isUnix := unixPath(s.address); isUnix && !s.shared {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
