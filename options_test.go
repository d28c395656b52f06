package epcclogs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/epcclogs/epcclogs"
	"github.com/epcclogs/epcclogs/internal/wire"
)

func TestNewClientRefuses(t *testing.T) {
	token := epcclogs.WithTokenFunc(func(context.Context) (string, error) { return "token", nil })
	secret := epcclogs.WithClientCredentials("id", marker)
	refused := map[string][]epcclogs.Option{
		"nil option":              {nil},
		"nil option among others": {epcclogs.WithTimeout(0), nil},
		"nil HTTP client":         {epcclogs.WithHTTPClient(nil)},
		"nil token function":      {epcclogs.WithTokenFunc(nil)},
		"nil logger":              {epcclogs.WithLogger(nil)},
		"nil attempt function":    {epcclogs.WithOnAttempt(nil)},

		"client id empty":           {epcclogs.WithClientCredentials("", marker)},
		"client id unprintable":     {epcclogs.WithClientCredentials("id\n", marker)},
		"client secret empty":       {epcclogs.WithClientCredentials("id", "")},
		"client secret unprintable": {epcclogs.WithClientCredentials("id", marker+"\x00")},

		"two kinds: token, function":       {epcclogs.WithToken(marker), token},
		"two kinds: function, token":       {token, epcclogs.WithToken(marker)},
		"two kinds: token, credentials":    {epcclogs.WithToken(marker), secret},
		"two kinds: credentials, token":    {secret, epcclogs.WithToken(marker)},
		"two kinds: function, credentials": {token, secret},
		"two kinds: credentials, function": {secret, token},
		"two kinds: the first again":       {epcclogs.WithToken("a"), token, epcclogs.WithToken("a")},

		"timeout negative":       {epcclogs.WithTimeout(-1)},
		"response size 0":        {epcclogs.WithMaxResponseSize(0)},
		"response size negative": {epcclogs.WithMaxResponseSize(-1)},
	}
	for _, base := range []string{
		"", "api.example.com", "https://", "https:///v2", "https://:443", "https://api.example.com:65536", "https:api.example.com",
		"ftp://api.example.com", "//api.example.com", "https://user@api.example.com",
		"https://api.example.com?key=" + marker, "https://api.example.com/v2?",
		"https://api.example.com/#" + marker, "https://api.example.com#",
		"https://user:" + marker + "@api.example.com", "https://user:" + marker + "@api.example.com:port",
		"https://user:" + marker + "@api.example.com/%zz", "ftp://user:" + marker + "@api.example.com",
		"https://api.example.com/" + marker + "\n",
	} {
		refused["base URL "+base] = []epcclogs.Option{epcclogs.WithBaseURL(base)}
	}
	for _, token := range []string{"", marker + " x", marker + "\r\nX-Injected: 1", marker + "ü", marker + "\x7f"} {
		refused["token "+token] = []epcclogs.Option{epcclogs.WithToken(token)}
	}
	for _, agent := range []string{"", "  ", "a\r\nX-Injected: 1", "ä/1"} {
		refused["user agent "+agent] = []epcclogs.Option{epcclogs.WithUserAgent(agent)}
	}
	for _, rate := range []float64{-1, -math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1)} {
		refused[fmt.Sprint("rate ", rate)] = []epcclogs.Option{epcclogs.WithRateLimit(rate)}
	}
	for _, policy := range []epcclogs.RetryPolicy{
		{MaxAttempts: -1},
		{MinWait: -1},
		{MaxWait: -1},
		{MinWait: 2, MaxWait: 1},
		{MinWait: 30*time.Second + 1}, // above the default MaxWait
	} {
		refused[fmt.Sprintf("%+v", policy)] = []epcclogs.Option{epcclogs.WithRetry(policy)}
	}
	for name, opts := range refused {
		t.Run(name, func(t *testing.T) {
			c, err := epcclogs.NewClient(opts...)
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
			assert.Nil(t, c)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), marker)
		})
	}
}

func TestCredentialsNeedTLSUnlessLoopback(t *testing.T) {
	kinds := []epcclogs.Option{
		epcclogs.WithToken(marker),
		epcclogs.WithTokenFunc(func(context.Context) (string, error) { return marker, nil }),
		epcclogs.WithClientCredentials("id", marker),
	}
	for allowed, bases := range map[bool][]string{
		true: {
			"http://localhost", "http://localhost:8080/v2", "http://127.0.0.1", "http://127.0.0.1:8080", "http://127.8.9.1",
			"http://[::1]", "http://[::1]:8080/x", "http://[::1%25lo]:8080", "https://api.example.com", "HTTPS://api.example.com",
		},
		false: {
			"http://api.example.com", "HTTP://api.example.com", "http://10.0.0.1", "http://0.0.0.0", "http://[::]",
			"http://[2001:db8::1]", "http://[fe80::1%25eth0]", "http://128.0.0.1", "http://localhost.example.com", "http://example.localhost.com",
			"http://127.0.0.1.example.com", "http://mylocalhost", "http://api.example.com/localhost",
		},
	} {
		for _, base := range bases {
			_, err := epcclogs.NewClient(epcclogs.WithBaseURL(base))
			require.NoErrorf(t, err, "%s without credentials", base)
			for i, kind := range kinds {
				for _, opts := range [][]epcclogs.Option{{epcclogs.WithBaseURL(base), kind}, {kind, epcclogs.WithBaseURL(base)}} {
					_, err := epcclogs.NewClient(opts...)
					if allowed {
						require.NoErrorf(t, err, "%s, kind %d", base, i)
						continue
					}
					require.ErrorIsf(t, err, epcclogs.ErrInvalidArgument, "%s, kind %d", base, i)
					require.NotContains(t, err.Error(), marker)
				}
			}
		}
	}
}

func TestLaterOptionWins(t *testing.T) {
	token := func(value string) epcclogs.Option {
		return epcclogs.WithTokenFunc(func(context.Context) (string, error) { return value, nil })
	}
	var logged journal
	for _, kind := range [][]epcclogs.Option{
		{epcclogs.WithToken("first-token"), epcclogs.WithToken("second-token")},
		{token("first-token"), token("second-token")},
	} {
		s := wire.Steps(done)
		logged = journal{}
		c := clientOf(t, wire.Break(errors.New("the first transport was used")), append(
			kind, epcclogs.WithBaseURL("https://first.example.com"), epcclogs.WithBaseURL("https://second.example.com"),
			epcclogs.WithUserAgent("first/1"), epcclogs.WithUserAgent("second/2"), over(s),
			epcclogs.WithMaxResponseSize(1), epcclogs.WithMaxResponseSize(1000),
			epcclogs.WithLogger(slog.New(slog.DiscardHandler)), epcclogs.WithLogger(slog.New(&logged)))...)
		require.NoError(t, call(t.Context(), c))
		assert.Equal(t, "second.example.com", s.Last().URL.Host)
		assert.Equal(t, "Bearer second-token", s.Last().Header.Get("Authorization"))
		assert.Equal(t, "second/2 epcclogs/"+epcclogs.Version, s.Last().Header.Get("User-Agent"))
		assert.Len(t, logged.all(), 1)
	}

	s := wire.Steps(wire.Reply(500, ""))
	require.Error(t, call(t.Context(), clientOf(t, s, epcclogs.WithRetry(epcclogs.RetryPolicy{MaxAttempts: 1}))))
	assert.Len(t, s.Sent(), 1, "the policy after quick")

	s = wire.Steps(wire.OK(`{"access_token":"fetched"}`), done)
	require.NoError(t, call(t.Context(), clientOf(t, s,
		epcclogs.WithClientCredentials("first", "first"), epcclogs.WithClientCredentials("second", "second"))))
	assert.NotContains(t, s.Requests()[0].Form, "first")
}

// The bound of an attempt is the deadline that its transport sees.
func TestTimeoutOfAnAttempt(t *testing.T) {
	for name, row := range map[string]struct {
		http time.Duration
		opts []epcclogs.Option
		want time.Duration // 0: none
	}{
		"default":                   {want: 30 * time.Second},
		"WithTimeout":               {opts: []epcclogs.Option{epcclogs.WithTimeout(time.Hour)}, want: time.Hour},
		"WithTimeout twice":         {opts: []epcclogs.Option{epcclogs.WithTimeout(time.Second), epcclogs.WithTimeout(time.Hour)}, want: time.Hour},
		"WithTimeout 0":             {opts: []epcclogs.Option{epcclogs.WithTimeout(0)}},
		"the http.Client's":         {http: 7 * time.Minute, want: 7 * time.Minute},
		"WithTimeout goes before":   {http: 7 * time.Minute, opts: []epcclogs.Option{epcclogs.WithTimeout(time.Hour)}, want: time.Hour},
		"WithTimeout 0 goes before": {http: 7 * time.Minute, opts: []epcclogs.Option{epcclogs.WithTimeout(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			var start time.Time
			s := wire.Steps(wire.Reply(503, ""), done, wire.Reply(503, ""), done)
			hc := epcclogs.WithHTTPClient(&http.Client{Timeout: row.http, Transport: wire.Step(func(r *http.Request) (*http.Response, error) {
				deadline, ok := r.Context().Deadline()
				assert.Equal(t, row.want > 0, ok)
				if ok {
					assert.False(t, deadline.Before(start.Add(row.want)), "not shorter")
					assert.False(t, deadline.After(time.Now().Add(row.want)), "not longer")
				}
				return s.RoundTrip(r)
			})})
			// On both sides of the other options: the order makes no difference.
			for _, opts := range [][]epcclogs.Option{append([]epcclogs.Option{hc}, row.opts...), append(slices.Clone(row.opts), hc)} {
				start = time.Now()
				require.NoError(t, call(t.Context(), newClient(t, "https://api.example.com", opts...)))
			}
			assert.Len(t, s.Sent(), 4)
		})
	}
}

func TestNewClientFromEnv(t *testing.T) {
	setEnv := func(base, id, secret string) {
		t.Setenv("EPCC_API_BASE_URL", base)
		t.Setenv("EPCC_CLIENT_ID", id)
		t.Setenv("EPCC_CLIENT_SECRET", secret)
	}
	setEnv("", clientID, secret)
	for name, opt := range map[string]epcclogs.Option{"two kinds of credentials": epcclogs.WithToken(marker), "nil": nil} {
		_, err := epcclogs.NewClientFromEnv(opt)
		require.ErrorIs(t, err, epcclogs.ErrInvalidArgument, name)
	}
	type row struct {
		base, id, secret string
		opts             []epcclogs.Option
		asked            string
	}
	rows := []row{
		{"", clientID, secret, nil, epcclogs.EUWest},
		{epcclogs.USEast + "/v2", clientID, secret, nil, epcclogs.USEast},
		{epcclogs.USEast, "other-id", "other-secret", []epcclogs.Option{
			epcclogs.WithBaseURL("https://option.example.com"), epcclogs.WithClientCredentials(clientID, secret),
		}, "https://option.example.com"}, // options come after
	}
	for _, space := range []string{"\n", "\r\n", " ", " \t\n"} { // which files and secret stores add
		rows = append(rows, row{space + epcclogs.USEast + space, space + clientID + space, space + secret + space, nil, epcclogs.USEast})
	}
	for _, row := range rows {
		setEnv(row.base, row.id, row.secret)
		api := wire.NewAPI(nil, nil)
		c, err := epcclogs.NewClientFromEnv(append(row.opts, over(api))...)
		require.NoError(t, err)
		require.NoError(t, call(t.Context(), c))
		post, get := api.Tokens.Last(), api.Lists.Last()
		form, err := url.ParseQuery(post.Form)
		require.NoError(t, err)
		assert.Equal(t, []string{clientID, secret}, []string{form.Get("client_id"), form.Get("client_secret")})
		assert.Equal(t, row.asked+"/oauth/access_token", post.URL.String())
		assert.Equal(t, row.asked+"/v2/integrations", get.URL.String())
		assert.Equal(t, "Bearer fetched-token-1", get.Header.Get("Authorization"))
	}
}

// An error about values of the environment names their variables, and no others.
func TestErrorsNameTheVariable(t *testing.T) {
	const good = "https://api.example.com"
	for _, row := range []struct{ base, id, secret, want string }{
		{"api.example.com", good, good, "EPCC_API_BASE_URL must begin with https:// or http:// and name a host"},
		{"https://api.exa\nmple.com", good, good, "EPCC_API_BASE_URL must begin with https:// or http:// and name a host"},
		{"https://user:" + marker + "@api.example.com", good, good, "EPCC_API_BASE_URL holds a user name or a password; use an option for credentials"},
		{"https://api.example.com?a=b", good, good, "EPCC_API_BASE_URL must not have a query (?) or a fragment (#)"},
		{"http://api.example.com", good, good, "credentials would be sent unencrypted to http://api.example.com; use https in EPCC_API_BASE_URL"},
		{good, "a\nb", good, "EPCC_CLIENT_ID is empty or has characters that cannot be printed, such as a line break"},
		{good, good, marker + "\x07", "EPCC_CLIENT_SECRET is empty or has characters that cannot be printed, such as a line break"},
		{"", "", "", "missing in the environment: EPCC_CLIENT_ID, EPCC_CLIENT_SECRET"},
		{good, "\n", marker, "missing in the environment: EPCC_CLIENT_ID"},
		{good, marker, " ", "missing in the environment: EPCC_CLIENT_SECRET"},
	} {
		t.Run(row.want, func(t *testing.T) {
			t.Setenv("EPCC_API_BASE_URL", row.base)
			t.Setenv("EPCC_CLIENT_ID", row.id)
			t.Setenv("EPCC_CLIENT_SECRET", row.secret)
			c, err := epcclogs.NewClientFromEnv()
			require.ErrorIs(t, err, epcclogs.ErrInvalidArgument)
			require.EqualError(t, err, "epcclogs: invalid argument: "+row.want)
			assert.Nil(t, c)
		})
	}
}

func TestNewClientReadsNoEnvironment(t *testing.T) {
	t.Setenv("EPCC_API_BASE_URL", "https://env.example.com")
	t.Setenv("EPCC_CLIENT_ID", "env-id")
	t.Setenv("EPCC_CLIENT_SECRET", marker)
	s := wire.Steps(done)
	c, err := epcclogs.NewClient(over(s))
	require.NoError(t, err)
	require.NoError(t, call(t.Context(), c))
	assert.Equal(t, epcclogs.EUWest+"/v2/integrations", s.Last().URL.String())
	assert.NotContains(t, s.Last().Header, "Authorization")
}
