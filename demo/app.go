package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Where the application of each host listens: HTTP, and a protocol in which
// the server speaks first on the port of MySQL, which does the same.
const (
	httpAddress  = "0.0.0.0:9080"
	mysqlAddress = "0.0.0.0:3306"
)

// answer is what an application says of a connection.
type answer struct {
	Host   string `json:"host"`   // the application's
	Source string `json:"source"` // the peer that it sees
}

// serve is the application: both its protocols tell the peer what address it
// is seen to come from.
func serve(host, httpAddr, greeterAddr string) error {
	web, err := net.Listen("tcp", httpAddr)
	if err != nil {
		return err
	}
	defer web.Close()
	greeter, err := net.Listen("tcp", greeterAddr)
	if err != nil {
		return err
	}
	defer greeter.Close()
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(web, answerHTTP(host)) }()
	go func() { failed <- greet(host, greeter) }()
	return <-failed
}

func answerHTTP(host string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A client that is gone needs no answer.
		_ = json.NewEncoder(w).Encode(answer{Host: host, Source: r.RemoteAddr})
	})
}

// greet sends each client a line of its own accord, as MySQL, SMTP and SSH
// do, and then sends back whatever the client sends, until its FIN.
func greet(host string, listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			greeting, err := json.Marshal(answer{Host: host, Source: conn.RemoteAddr().String()})
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(conn, "%s\n", greeting); err == nil {
				// A reset ends the echo; the client notices by itself.
				_, _ = io.Copy(conn, conn)
			}
		}()
	}
}
