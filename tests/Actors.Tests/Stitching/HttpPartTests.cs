using System.Net;
using System.Net.Http.Headers;
using System.Runtime.Versioning;
using System.Text;
using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Actors.Tests.Stitching;

[UnsupportedOSPlatform("windows")]
public sealed class HttpPartTests
{
    private const int Length = 4 << 20;

    /// <summary>A byte now and then keeps every single wait short.</summary>
    [Fact]
    public void A_node_that_only_dribbles_is_given_up()
    {
        using var http = Answering(new EndlessStream(1), HttpStatusCode.PartialContent);
        using var part = new HttpPart(http, "http://a", null, Known(), "a", default) { PieceDeadline = TimeSpan.FromMilliseconds(50) };

        Assert.Contains("is too slow", Assert.Throws<StorageException>(() => part.Read(0, new byte[Length])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_that_does_not_end_is_given_up()
    {
        var body = new EndlessStream(1 << 20);
        using var http = Answering(body, HttpStatusCode.OK);
        using var part = new HttpPart(http, "http://a", null, Known(), "a", default);

        Assert.Contains("more than 1048576 bytes", Assert.Throws<StorageException>(part.ReadKey).Message, StringComparison.Ordinal);
        Assert.Equal((1 << 20) + 1, body.BytesRead);
    }

    [Fact]
    public void A_manifest_of_another_dump_is_refused()
    {
        var known = Known();
        string other = Encoding.UTF8.GetString(ManifestWriter.ToUtf8(known with { Id = "20261121T013940Z-00000002" }));
        using var http = Answering(new MemoryStream(Encoding.UTF8.GetBytes(other)), HttpStatusCode.OK);
        using var part = new HttpPart(http, "http://a", null, known with { MissingRanges = 1 }, "a", default);

        Assert.Contains("where 20261121T013940Z-00000001 was asked for", Assert.Throws<StorageException>(() => part.Manifest).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://a", false, true)]
    [InlineData("https://a", false, true)]
    [InlineData("https://a", true, true)]
    [InlineData("http://a", true, false)]
    public void A_node_that_serves_https_shows_its_token_to_https_alone(string url, bool servesHttps, bool isShown) => Assert.Equal(isShown, FleetParts.IsShownTo(url, servesHttps));

    private static HttpClient Answering(Stream body, HttpStatusCode status) => new(new Answer(body, status)) { Timeout = Timeout.InfiniteTimeSpan };

    private static Manifest Known() => new()
    {
        Id = "20261121T013940Z-00000001",
        Client = "10.0.0.1",
        Host = "web",
        Index = 0,
        StartedAt = DateTimeOffset.UnixEpoch,
        EndedAt = DateTimeOffset.UnixEpoch,
        DurationSeconds = 1,
        Status = DumpStatus.Incomplete,
        Reason = EndReason.ClientTimedOut,
        Bytes = Length,
        CoveredBytes = Length,
        Endpoint = new("shared", "10.0.0.2", 20023),
        Packets = 1,
        Retransmissions = 0,
        Bursts = 1,
        QuietBursts = 0,
        Acks = 1,
        Rejected = 0,
        PayloadBytes = Length,
        PacketPayloadBytes = 1400,
        Missing = [],
        MissingBytes = 0,
        MissingRanges = 0,
        Damaged = [],
        Overwritten = [],
        Relocated = false,
        HashState = HashState.Off,
        Files = new("vmcore.web.0", "info.web.0", "key.web.0"),
    };

    /// <summary>Answers each request with the same body, of no length.</summary>
    private sealed class Answer(Stream body, HttpStatusCode status) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var content = new StreamContent(body);
            content.Headers.ContentRange = status == HttpStatusCode.PartialContent ? new ContentRangeHeaderValue(0, Length - 1, Length) : null;
            return Task.FromResult(new HttpResponseMessage(status) { Content = content });
        }
    }

    private sealed class EndlessStream(int mostBytes) : Stream
    {
        public long BytesRead { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int read = Math.Min(mostBytes, buffer.Length);
            BytesRead += read;
            return ValueTask.FromResult(read);
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
