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

// Start listens on the server's address and serves in the background until
// Shutdown. It is called once.
func (s *Server) Start() error {
	socket, err := listen(s.address)
	if err != nil {
		return fmt.Errorf("listen on %s (%s): %w%s", s.address, s.key, err, advice(s.address, err))
	}
	s.socket = limitConnections(socket, maxConnections)
	go func() {
		if err := s.http.Serve(s.socket); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("server stopped", zap.String("address", s.address), zap.String("key", s.key), zap.Error(err))
		}
	}()
	return nil
}

// Addr is where a started server listens.
func (s *Server) Addr() net.Addr { return s.socket.Addr() }

// Shutdown stops listening and waits for requests under way, until ctx ends;
// what is left is cut off. A server that was never started is fine.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("shut down %s (%s): %w", s.address, s.key, errors.Join(err, s.http.Close()))
	}
	if path, isUnix := unixPath(s.address); isUnix && s.socket != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
