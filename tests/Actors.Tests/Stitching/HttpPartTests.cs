using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using NetdumpCollector.Actors.Stitching;
using NetdumpCollector.Protocol;
using NetdumpCollector.Storage;
using NetdumpCollector.Storage.Fleet;

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

    /// <summary>Whoever can put himself between two nodes must get neither the token nor into a dump.</summary>
    [Fact]
    public async Task A_node_whose_certificate_is_not_trusted_is_asked_nothing_and_told_of()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var heard = Task.Run(async () =>
        {
            using var connection = await listener.AcceptTcpClientAsync();
            await using var tls = new SslStream(connection.GetStream());
            try
            {
                await tls.AuthenticateAsServerAsync(certificate);
                return await tls.ReadAsync(new byte[1]);
            }
            catch (Exception e) when (e is IOException or AuthenticationException)
            {
                return 0;
            }
        });
        using var http = new HttpClient();
        using var part = new HttpPart(http, $"https://localhost:{((IPEndPoint)listener.LocalEndpoint).Port}", "a-secret", Known(), "a", default);

        string problem = Assert.Throws<StorageException>(() => part.Read(0, new byte[16])).Message;

        Assert.StartsWith("node a: https://localhost:", problem, StringComparison.Ordinal);
        Assert.Contains("certificate", problem, StringComparison.Ordinal);
        Assert.Contains("SSL_CERT_FILE", problem, StringComparison.Ordinal);
        Assert.DoesNotContain("a-secret", problem, StringComparison.Ordinal);
        Assert.Equal(0, await heard.WaitAsync(Eventually.Deadline));
    }

    [Fact]
    public void Lists_that_the_catalogue_may_have_cut_are_asked_for()
    {
        ByteRange[] many = [.. Enumerable.Range(0, ManifestScan.MaxRanges).Select(i => new ByteRange(2 * (ulong)i, (2 * (ulong)i) + 1))];
        var whole = Known() with { Overwritten = [.. many, new(1000, 1001)] };
        using var http = Answering(new MemoryStream(ManifestWriter.ToUtf8(whole)), HttpStatusCode.OK);
        using var part = new HttpPart(http, "http://a", null, Known() with { Overwritten = many }, "a", default);

        Assert.Equal(ManifestScan.MaxRanges + 1, part.Manifest.Overwritten.Count);
    }

    [Fact]
    public void A_part_in_the_nodes_own_directory_is_the_one_that_was_asked_for()
    {
        string root = Directory.CreateTempSubdirectory("netdump-part-").FullName;
        try
        {
            string path = Path.Join(root, "dump.web.0.json");
            ManifestFile.Write(path, Known());
            File.WriteAllBytes(Path.Join(root, "vmcore.web.0"), [1, 2, 3]);

            Assert.Contains("is the dump 20261121T013940Z-00000001 where 20261121T013940Z-00000002 is to be",
                Assert.Throws<StorageException>(() => new FilePart(root, path, "20261121T013940Z-00000002", "a")).Message, StringComparison.Ordinal);
            using var part = new FilePart(root, path, Known().Id, "a");
            byte[] bytes = new byte[2];
            part.Read(1, bytes);
            Assert.Equal([2, 3], bytes);
            Assert.Contains("ends after 3 bytes", Assert.Throws<StorageException>(() => part.Read(2, bytes)).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    [Fact]
    public void Of_a_part_that_only_the_store_has_it_is_said_how_to_get_it()
    {
        var row = new FleetDump("20261121T013940Z-00000001", "a", Guid.Empty, null, "s3://crashes/web1/20261121T013940Z-00000001/", "web1", "10.0.0.1", DateTimeOffset.UnixEpoch, 1, "incomplete", null, Pinned: false, null, null, null);

        const string Advice = "netdump-collector dumps fetch s3://crashes/web1/20261121T013940Z-00000001/ --output DIRECTORY";
        Assert.Contains($"has the part 20261121T013940Z-00000001 no more; the object store has it: {Advice}", FleetParts.WhyNot(row), StringComparison.Ordinal);
        Assert.Contains($"does not say where its HTTP is reached (--http, --node-url); the object store has it: {Advice}", FleetParts.WhyNot(row with { Path = "vmcore.web1.0" }), StringComparison.Ordinal);
        Assert.EndsWith("(--http, --node-url)", FleetParts.WhyNot(row with { Path = "vmcore.web1.0", Url = null }), StringComparison.Ordinal);
    }

    private static HttpClient Answering(Stream body, HttpStatusCode status) => new(new Answer(body, status)) { Timeout = Timeout.InfiniteTimeSpan };

    private static Manifest Known() => PartOfADump.Beginning with { Bytes = Length, CoveredBytes = Length };

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
