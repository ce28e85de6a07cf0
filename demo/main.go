package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// options are the command line.
type options struct {
	intercept mode
	sluice    string // the binary to show
}

func main() {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	if err := start(); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func start() error {
	begin := time.Now()
	opts, err := parse()
	if err != nil {
		return err
	}
	if err := prepare(&opts); err != nil {
		return err
	}
	if err := testnet.Enter(); err != nil {
		return err
	}
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	s := &stage{messages: os.Stderr, interrupt: interrupt}
	s.run(func() { show(s, os.Stdout, opts) })
	if s.Failed() {
		return fmt.Errorf("FAILED after %v", time.Since(begin).Round(100*time.Millisecond))
	}
	fmt.Printf("\ndemo OK: everything above is as it must be (%s, %v)\n",
		opts.intercept, time.Since(begin).Round(100*time.Millisecond))
	return nil
}

func parse() (options, error) {
	var opts options
	flag.StringVar((*string)(&opts.intercept), "intercept", string(redirect), "how inbound connections are captured: redirect or tproxy")
	flag.StringVar(&opts.sluice, "sluice", "", "the sluice binary to show (default: it is built into bin/)")
	flag.Parse()
	if flag.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	return opts, opts.intercept.check()
}
