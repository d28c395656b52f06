// Store is an embedded store that lives, for programs in any language: logs are added
// all the time and expire, and with -delete integrations are deleted now and then.
//
//	go run ./examples/store
//	go run ./examples/store -envelope links -newest-first -max-offset 10000 -faults 0.05
//
// It prints three lines. Paste them into another shell, and programs that are started
// there use the store in place of the real service:
//
//	export EPCC_API_BASE_URL=http://127.0.0.1:34567
//	export EPCC_CLIENT_ID=not-a-real-id
//	export EPCC_CLIENT_SECRET=not-a-real-secret
//
// The data are made up. They are lost when the program ends. With -addr, a store that is
// started again is at the same URL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/epcclogstest"
)

const (
	clientID     = "not-a-real-id"
	clientSecret = "not-a-real-secret"
)

// store is a server that lives.
type store struct {
	settings
	*epcclogstest.Server
	endpoints []*endpoint
	added     int
}

// endpoint is an integration with the logs that it gets next.
type endpoint struct {
	epcclogs.Integration
	next   []epcclogs.IntegrationLog
	blocks int // of logs that were made so far
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// settings say how a store lives.
type settings struct {
	addr         string
	integrations uint
	every, keep  time.Duration
	remove       time.Duration // between two integrations; 0: never
	faults       float64       // per request
	options      []epcclogstest.Option
}

// parse returns the settings that the arguments ask for.
func parse(args []string, stderr io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("store", flag.ContinueOnError)
	flags.SetOutput(stderr)
	envelope := epcclogstest.Meta
	flags.Func("envelope", "`form` of the lists: meta, links, nested or bare (default meta)", func(name string) error {
		for envelope = epcclogstest.Meta; !strings.EqualFold(envelope.String(), name); envelope++ {
			if envelope == epcclogstest.Bare {
				return errors.New("there is no such form")
			}
		}
		return nil
	})
	newestFirst := flags.Bool("newest-first", false, "list the newest logs first")
	maxOffset := flags.Uint("max-offset", 0, "refuse `offsets` above this (default none)")
	latency := flags.Duration("latency", 0, "`delay` of every response")
	limit := flags.Float64("rate", 0, "`requests` a second that are allowed (default any)")
	flags.StringVar(&s.addr, "addr", "127.0.0.1:0", "`address` to listen at; port 0 is a free one")
	flags.Float64Var(&s.faults, "faults", 0, "`part` of the requests after the first that fail, such as 0.05")
	flags.UintVar(&s.integrations, "integrations", 3, "`number` of integrations")
	flags.DurationVar(&s.every, "every", time.Second, "`interval` at which a log is added, also during the time of -keep before the start")
	flags.DurationVar(&s.keep, "keep", 12*time.Hour, "`time` after which a log expires")
	flags.DurationVar(&s.remove, "delete", 0, "`interval` at which an integration is deleted, until one is left (default never)")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 || s.integrations == 0 || s.every <= 0 || s.keep <= 0 || min(s.remove, *latency) < 0 || min(*limit, s.faults) < 0 {
		err = errors.New("store: there are flags only; -integrations, -every and -keep are above 0, and no number is below 0")
		_, _ = fmt.Fprintln(stderr, err)
		return s, err
	}
	s.options = append(s.options, epcclogstest.WithEnvelope(envelope), epcclogstest.WithLatency(*latency))
	if *newestFirst {
		s.options = append(s.options, epcclogstest.WithNewestFirst())
	}
	if *maxOffset > 0 {
		s.options = append(s.options, epcclogstest.WithMaxOffset(int(*maxOffset)))
	}
	if *limit > 0 {
		s.options = append(s.options, epcclogstest.WithRequestLimit(*limit, int(math.Ceil(*limit/10))))
	}
	return s, nil
}

// run lives until ctx ends. It returns the exit status: 0, 1 if it cannot listen, or 2 for bad
// arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	settings, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", settings.addr)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "store:", err)
		return 1
	}
	s := start(settings, listener)
	defer s.Close()
	_, _ = fmt.Fprintf(stdout, "export EPCC_API_BASE_URL=%s\nexport EPCC_CLIENT_ID=%s\nexport EPCC_CLIENT_SECRET=%s\n", s.URL, clientID, clientSecret)
	s.live(ctx)
	return 0
}

// start returns a store with the logs that it keeps.
func start(settings settings, listener net.Listener) *store {
	s := &store{settings: settings}
	options := append(s.options, epcclogstest.WithListener(listener), epcclogstest.WithClientCredentials(clientID, clientSecret, 0))
	for i := range s.integrations {
		in := epcclogstest.SampleIntegration(int(i))
		s.endpoints = append(s.endpoints, &endpoint{Integration: in})
		options = append(options, epcclogstest.WithIntegration(in))
	}
	s.Server = epcclogstest.NewServer(options...)
	s.OnRequest(func(int, epcclogstest.Request) {
		if rand.Float64() < s.faults {
			s.FailRequest(1, fault())
		}
	})
	now := time.Now()
	for at := now.Add(-s.keep); at.Before(now); at = at.Add(s.every) {
		s.add(at)
	}
	return s
}

// live adds and expires logs, and deletes integrations, until ctx ends.
func (s *store) live(ctx context.Context) {
	adding := time.NewTicker(s.every)
	defer adding.Stop()
	expiring := time.NewTicker(max(s.keep/1000, s.every))
	defer expiring.Stop()
	var removing <-chan time.Time
	if s.remove > 0 {
		removing = time.Tick(s.remove)
	}
	for {
		select {
		case now := <-adding.C:
			s.add(now)
		case now := <-expiring.C:
			for _, e := range s.endpoints {
				s.RemoveLogs(e.ID, func(l epcclogs.IntegrationLog) bool { return l.CreatedAt().Before(now.Add(-s.keep)) })
			}
		case <-removing:
			if len(s.endpoints) > 1 {
				s.RemoveIntegration(s.endpoints[0].ID)
				s.endpoints = s.endpoints[1:]
			}
		case <-ctx.Done():
			return
		}
	}
}

// add adds a log to the next integration.
func (s *store) add(at time.Time) {
	e := s.endpoints[s.added%len(s.endpoints)]
	s.added++
	if len(e.next) == 0 { // others than before, since the samples of an id are always the same
		other := e.Integration
		other.ID = fmt.Sprint(e.ID, e.blocks)
		e.next = epcclogstest.SampleLogsUntil(other, 1000, at)
		e.blocks++
	}
	l := e.next[0]
	e.next = e.next[1:]
	l.Relationships.Integration.Data.ID = e.ID
	l.Meta.Timestamps.CreatedAt = at.UTC()
	s.AddLogs(e.ID, l)
}

// fault is one of those that a client outlives.
func fault() epcclogstest.Fault {
	all := []epcclogstest.Fault{
		epcclogstest.RateLimited(time.Second), epcclogstest.ServerError(), epcclogstest.GatewayPage(502),
		epcclogstest.CutLength(), epcclogstest.CutJSON(), epcclogstest.Reset(),
	}
	return all[rand.IntN(len(all))]
}
