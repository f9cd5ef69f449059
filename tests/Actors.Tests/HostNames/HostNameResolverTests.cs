using System.Net.Sockets;
using System.Threading.Channels;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Actors.Tests.HostNames;

public sealed class HostNameResolverTests : IDisposable
{
    private static readonly Ipv4 s_address = new(0x0a000207);
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(1);

    private readonly ManualTimeProvider _time = new();
    private readonly FakeDns _dns = new();
    private readonly List<HostNameResolver> _resolvers = [];

    public void Dispose() => _resolvers.ForEach(resolver => resolver.Dispose());

    [Theory]
    [InlineData("web-01.example.org", "web-01")]
    [InlineData("web-01", "web-01")]
    [InlineData("../../etc/passwd.example.org", "10.0.2.7")]
    [InlineData("a/b.example.org", "a_b")]
    [InlineData("", "10.0.2.7")]
    [InlineData(null, "10.0.2.7")]
    [InlineData("10.0.2.7", "10.0.2.7")]
    public async Task The_name_is_the_first_label_fit_for_file_names(string? answer, string name)
    {
        var resolving = Resolver().Resolve(s_address);
        (await _dns.NextAsync()).SetResult(answer);

        Assert.Equal(name, await resolving);
    }

    [Fact]
    public async Task The_operators_map_comes_first()
    {
        var resolver = Resolver(HostMap.Parse(["10.0.0.0/8 mine.local"], "hosts"));

        Assert.Equal("mine.local", await resolver.Resolve(s_address));
        Assert.Equal(0, _dns.Lookups);
    }

    [Fact]
    public async Task A_resolver_that_throws_means_no_name()
    {
        var resolving = Resolver().Resolve(s_address);
        (await _dns.NextAsync()).SetException(new SocketException());

        Assert.Equal("10.0.2.7", await resolving);
    }

    [Fact]
    public async Task A_late_answer_serves_who_asks_next()
    {
        var resolver = Resolver();
        var resolving = resolver.Resolve(s_address);
        var lookup = await _dns.NextAsync();
        _time.Advance(s_deadline);
        var next = resolver.Resolve(s_address);
        Assert.False(resolving.IsCompleted || next.IsCompleted);

        lookup.SetResult("web.example.org");
        Assert.Equal("web", await resolving);
        Assert.Equal("web", await next);
        Assert.Equal("web", await resolver.Resolve(s_address));
        Assert.Equal(1, _dns.Lookups);
    }

    [Fact]
    public async Task Requests_for_one_address_share_a_lookup()
    {
        var resolver = Resolver();
        Task<string>[] resolving = [.. Enumerable.Range(0, 20).Select(_ => resolver.Resolve(s_address))];
        (await _dns.NextAsync()).SetResult("web");

        Assert.All(await Task.WhenAll(resolving), name => Assert.Equal("web", name));
        Assert.Equal(1, _dns.Lookups);
    }

    [Theory]
    [InlineData("web", 600)]
    [InlineData(null, 60)]
    public async Task Answers_are_kept_for_their_time(string? answer, int seconds)
    {
        var resolver = Resolver();
        string expected = answer ?? "10.0.2.7";
        var first = resolver.Resolve(s_address);
        (await _dns.NextAsync()).SetResult(answer);
        Assert.Equal(expected, await first);

        _time.Advance(TimeSpan.FromSeconds(seconds - 1));
        Assert.Equal(expected, await resolver.Resolve(s_address));
        Assert.Equal(1, _dns.Lookups);

        _time.Advance(TimeSpan.FromSeconds(1));
        var second = resolver.Resolve(s_address);
        (await _dns.NextAsync()).SetResult("renamed");
        Assert.Equal("renamed", await second);
    }

    [Fact]
    public async Task The_cache_forgets_the_oldest_when_it_is_full()
    {
        var resolver = Resolver(maxCached: 2);
        for (uint i = 1; i <= 3; i++)
        {
            var resolving = resolver.Resolve(new(i));
            (await _dns.NextAsync()).SetResult($"host{i}");
            Assert.Equal($"host{i}", await resolving);
        }

        Assert.Equal("host2", await resolver.Resolve(new(2)));
        Assert.Equal("host3", await resolver.Resolve(new(3)));
        Assert.Equal(3, _dns.Lookups);
        var again = resolver.Resolve(new(1));
        (await _dns.NextAsync()).SetResult("again");
        Assert.Equal("again", await again);
    }

    [Fact]
    public async Task A_resolver_that_hangs_is_asked_so_often_and_not_more()
    {
        var resolver = Resolver();
        Task<string>[] resolving = [.. Enumerable.Range(1, HostNameResolver.MaxLookups + 1).Select(i => resolver.Resolve(new((uint)i)))];
        var lookups = new List<TaskCompletionSource<string?>>();
        for (int i = 0; i < HostNameResolver.MaxLookups; i++)
            lookups.Add(await _dns.NextAsync());

        // The one more gets a thread when nobody waits for its name any more.
        _time.Advance(s_deadline);
        lookups.ForEach(lookup => lookup.SetResult(null));
        await Task.WhenAll(resolving);
        Assert.Equal(HostNameResolver.MaxLookups, _dns.Lookups);

        var next = resolver.Resolve(new(1000));
        (await _dns.NextAsync()).SetResult("back");
        Assert.Equal("back", await next);
    }

    [Fact]
    public async Task The_systems_resolver_is_asked_and_never_throws()
    {
        using var resolver = new HostNameResolver(HostMap.Empty, TimeProvider.System, TimeSpan.FromSeconds(1));

        Assert.NotEmpty(await resolver.Resolve(Ipv4.Loopback));
    }

    private HostNameResolver Resolver(HostMap? map = null, int maxCached = 100)
    {
        var resolver = new HostNameResolver(map ?? HostMap.Empty, _time, s_deadline, _dns.LookUp, maxCached);
        _resolvers.Add(resolver);
        return resolver;
    }

    /// <summary>Answers when the test says so.</summary>
    private sealed class FakeDns
    {
        private readonly Channel<TaskCompletionSource<string?>> _asked = Channel.CreateUnbounded<TaskCompletionSource<string?>>();
        private int _lookups;

        public int Lookups => _lookups;

        public string? LookUp(Ipv4 address)
        {
            var answer = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
            Interlocked.Increment(ref _lookups);
            Assert.True(_asked.Writer.TryWrite(answer));
            return answer.Task.GetAwaiter().GetResult();
        }

        public ValueTask<TaskCompletionSource<string?>> NextAsync() => _asked.Reader.ReadAsync();
    }
}
