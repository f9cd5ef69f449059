using System.Text.Json;
using System.Text.RegularExpressions;

namespace NetdumpCollector.Deploy.Tests.Docker;

/// <summary>What can be known of the Dockerfile where there is no engine to build it: its stages fit together, what it copies is there, and what it starts is what is published.</summary>
public sealed partial class DockerfileTests
{
    private const string Program = "/usr/bin/netdump-collector";

    private static readonly Dockerfile s_file = Dockerfile.Parse(RepositoryRoot.Read("deploy/docker/Dockerfile"));

    [Fact]
    public void Every_instruction_is_one() =>
        Assert.All(s_file.Instructions, instruction => Assert.Contains(instruction.Name, (string[])["ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "EXPOSE", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD", "LABEL"]));

    [Fact]
    public void It_begins_with_what_a_stage_or_its_argument_needs()
    {
        Assert.True(s_file.Stages.Count > 1, "what builds is not in what runs");
        foreach (var stage in s_file.Stages)
        {
            string image = stage.Image;
            foreach (Match variable in Variable().Matches(image))
                image = image.Replace(variable.Value, s_file.DefaultOf(variable.Groups[1].Value), StringComparison.Ordinal);
            Assert.Matches(ImageWithTag(), image);
            Assert.DoesNotContain(":latest", image, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void What_is_copied_from_the_repository_is_there_and_not_ignored()
    {
        string[] allowed = [.. RepositoryRoot.Read("deploy/docker/Dockerfile.dockerignore").Split('\n').Where(line => line.StartsWith('!')).Select(line => line[1..])];
        var sources = s_file.Instructions.Where(instruction => instruction.Name == "COPY" && instruction.Option("from") is null).SelectMany(instruction => instruction.Words[..^1]).ToArray();

        Assert.NotEmpty(sources);
        Assert.All(sources, source => Assert.True(Path.Exists(RepositoryRoot.File(source)), $"{source} is not in the repository"));
        Assert.Equal(allowed.Order(), sources.Select(source => source.TrimEnd('/')).Order());
    }

    [Fact]
    public void Everything_that_the_program_is_built_from_is_copied()
    {
        string[] sources = [.. s_file.Instructions.Where(instruction => instruction.Name == "COPY" && instruction.Option("from") is null).SelectMany(instruction => instruction.Words[..^1])];

        // What the compiler looks for in the directories above a project, and what eng/publish.sh reads.
        foreach (string file in (string[])[".editorconfig", "Directory.Build.props", "Directory.Packages.props", "global.json", "LICENSE", "eng/image.sh", "eng/publish.sh", "deploy/debian/copyright.in", "src/Collector/Collector.csproj"])
            Assert.Contains(sources, source => file == source || file.StartsWith(source + "/", StringComparison.Ordinal));
    }

    [Fact]
    public void What_is_copied_from_another_stage_comes_from_an_earlier_one()
    {
        var known = new List<string>();
        foreach (var stage in s_file.Stages)
        {
            Assert.All(stage.Instructions.Select(instruction => instruction.Option("from")).OfType<string>(), name => Assert.Contains(name, known));
            if (stage.Name is string own)
                known.Add(own);
        }

        Assert.Equal(known, known.Distinct());
        // Each of them is there for something.
        Assert.All(known, name => Assert.Contains(s_file.Instructions, instruction => instruction.Option("from") == name));
    }

    [Fact]
    public void It_runs_the_published_program_as_an_ordinary_user_without_a_shell()
    {
        var last = s_file.Stages[^1];

        string[] entry = JsonSerializer.Deserialize<string[]>(Assert.Single(last.Instructions, instruction => instruction.Name == "ENTRYPOINT").Text)!;
        Assert.Equal([Program], entry);
        // eng/image.sh --program DIR stages into DIR/usr, and the stage copies all of DIR to /.
        Assert.Contains(s_file.Instructions, instruction => instruction.Name == "RUN" && instruction.Text == "eng/image.sh --program /image");
        Assert.Contains(last.Instructions, instruction => instruction.Name == "COPY" && instruction.Option("from") == "build" && instruction.Words.SequenceEqual(["/image/", "/"]));
        Assert.Contains("stage_program \"$program_only/usr\"", RepositoryRoot.Read("eng/image.sh"), StringComparison.Ordinal);
        Assert.Contains("ln -s \"../lib/$name/$name\" \"$prefix/bin/$name\"", RepositoryRoot.Read("eng/publish.sh"), StringComparison.Ordinal);
        // Numbers, because a kubelet that is to keep root out cannot look names up.
        Assert.Equal("65532:65532", Assert.Single(last.Instructions, instruction => instruction.Name == "USER").Text);
        Assert.Equal(["serve", "--directory", "/var/lib/netdump"], JsonSerializer.Deserialize<string[]>(Assert.Single(last.Instructions, instruction => instruction.Name == "CMD").Text)!);
        Assert.DoesNotContain(last.Instructions, instruction => instruction.Name == "RUN");
    }

    [Fact]
    public void It_says_the_same_of_itself_as_the_image_that_is_made_without_an_engine()
    {
        string script = RepositoryRoot.Read("eng/image.sh");

        foreach (Match label in Label().Matches(string.Join('\n', s_file.Instructions.Where(instruction => instruction.Name == "LABEL").Select(instruction => instruction.Text))))
            Assert.Contains($"\"{label.Groups[1].Value}\": ", script, StringComparison.Ordinal);
        Assert.Equal(["20023/udp", "9464/tcp"], Assert.Single(s_file.Instructions, instruction => instruction.Name == "EXPOSE").Words);
        Assert.Contains("\"ExposedPorts\": { \"20023/udp\": {}, \"9464/tcp\": {} }", script, StringComparison.Ordinal);
        foreach (var setting in s_file.Instructions.Where(instruction => instruction.Name == "ENV"))
            Assert.Contains($"\"{setting.Text}\"", script, StringComparison.Ordinal);
        Assert.Equal(VersionElement().Match(RepositoryRoot.Read("Directory.Build.props")).Groups[1].Value, s_file.DefaultOf("VERSION"));
    }

    [GeneratedRegex(@"\$\{([A-Z_]+)\}")]
    private static partial Regex Variable();

    [GeneratedRegex(@"^[a-z0-9./-]+:[A-Za-z0-9._-]+(@sha256:[0-9a-f]{64})?$")]
    private static partial Regex ImageWithTag();

    [GeneratedRegex("(org\\.opencontainers\\.image\\.[a-z]+)=")]
    private static partial Regex Label();

    [GeneratedRegex("<Version>([^<]+)</Version>")]
    private static partial Regex VersionElement();
}
