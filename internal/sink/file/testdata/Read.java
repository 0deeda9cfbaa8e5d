import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

/** Prints azure.client-secret of every file of a folder, each with a zero byte behind it. */
class Read {
    public static void main(String[] args) throws IOException {
        File[] files = new File(args[0]).listFiles();
        Arrays.sort(files);
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (File file : files) {
            Properties p = new Properties();
            try (InputStream in = Files.newInputStream(file.toPath())) {
                p.load(in);
            }
            out.print(p.getProperty("azure.client-secret") + "\0");
        }
        out.flush();
    }
}
