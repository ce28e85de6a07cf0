package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/internal/testnet"
)

// settleTime is how long the sidecar may take to write down what has ended.
const settleTime = 10 * time.Second

// show is the demo from the first namespace to the last check. What is not as
// it must be fails tb.
func show(tb testnet.TB, out io.Writer, opts options) {
	fmt.Fprintf(out, "client %s  --  pod %s (application, sidecar; inbound by %s)  --  remote %s, %s\n",
		clientIP, podIP, opts.intercept.flagValue(), remoteIP, remoteIP2)
	w := newWorld(tb, opts)
	s := startSidecar(w, opts.intercept)
	fmt.Fprintf(out, "sluice runs in the pod as uid %d; http://%s:15021/healthz/ready answers outside of it\n\n", sidecarID, podIP)
	results := callAll(w, opts.intercept)
	log := joinAll(tb, s, results)
	if err := printTable(out, results); err != nil {
		tb.Fatalf("print the table: %v", err)
	}
	for _, r := range results {
		for _, problem := range r.problems(log) {
			tb.Errorf("%s", problem)
		}
	}
	for _, endpoint := range []string{remoteIP + ":9080", remoteIP2 + ":9080"} {
		if n := shares(results, "outbound|9080||ratings")[endpoint]; n != ratingsCalls/2 {
			tb.Errorf("endpoint %s served %d of %d connections to ratings, want half of them", endpoint, n, ratingsCalls)
		}
	}
	showMetrics(w, out, results)
	s.stop()
	fmt.Fprintf(out, "\nsluice has drained and ended with status 0; its capture rules are gone\n")
}

// callAll makes the calls one after the other.
func callAll(w *world, m mode) []*result {
	var results []*result
	for _, c := range calls(w, m) {
		r, err := c.make(w)
		if err != nil {
			w.tb.Fatalf("%s to %s (%s): %v", c.from, c.to, c.speaks, err)
		}
		results = append(results, &result{call: c, report: r})
	}
	return results
}

// joinAll waits until the access log tells of every call, and returns it.
func joinAll(tb testnet.TB, s *sidecar, results []*result) []logLine {
	var log []logLine
	testnet.Eventually(tb, settleTime, func() error {
		var err error
		if log, err = readLog(s.accessLog); err != nil {
			return err
		}
		var missing []error
		for _, r := range results {
			missing = append(missing, r.join(log))
		}
		return errors.Join(missing...)
	})
	return log
}

// showMetrics scrapes the sidecar from outside of the pod, and checks the
// metrics against the access log once both have settled.
func showMetrics(w *world, out io.Writer, results []*result) {
	url := "http://" + podIP + ":15090/stats/prometheus"
	var samples []sample
	testnet.Eventually(w.tb, settleTime, func() error {
		text, err := w.outside(url)
		if err != nil {
			return err
		}
		if samples, err = parseMetrics(text); err != nil {
			return err
		}
		if wrong := metricsProblems(samples, results); len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "\n"))
		}
		return nil
	})
	fmt.Fprintf(out, "\nfrom %s, scraped on the client, %d series, in brief:\n", url, len(samples))
	if err := printMetrics(out, samples); err != nil {
		w.tb.Fatalf("print the metrics: %v", err)
	}
}
